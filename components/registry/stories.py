"""What people read about a version in the MLflow UI: its tags, its description, the name of its run."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from components.records.models import Challenger, FittedModel, Lineage, Variant, Workshop
from components.records.rows import Part, Split
from components.records.scores import Rule, Scorecard, Verdict
from components.registry.learned import learned_sentence
from components.registry.moves import Move

# MLflow keeps descriptions of at most 5,000 characters: PostgreSQL refuses longer ones.
DESCRIPTION_CHARACTERS = 5_000
# Tags are for reading at a look; the whole verdict stands in verdict.json.
TAG_CHARACTERS = 500
VERDICT_HEADING = "### Verdict"
ROLLED_BACK = "- **Rolled back**"
CHALLENGED = "- **Challenger"
# Of a version that went to and fro, the newest; all stand in tags.
ROLLBACKS_TOLD = 5
LET_THROUGH = "May become champion"
OUTCOMES = {
    "promote": "Promoted",
    "reject": "Rejected",
    "inconclusive": "Not promoted: inconclusive",
}


def run_name(lineage: Lineage, split: Split) -> str:
    """Name of the training run: `train-2013-04-01-first`, or `retrain-2013-05-29` when a decision asked for it."""
    until = lineage.until or split.table.last
    if lineage.decision_id:
        return f"retrain-{day(until)}"
    words = re.findall(r"[a-z0-9]+", lineage.reason.lower())[:5]
    return f"train-{day(until)}-{'-'.join(words) or 'manual'}"


def version_tags(lineage: Lineage, split: Split, variant: Variant) -> dict[str, str]:
    """Where a version comes from, as tags."""
    tags = {
        "sha256": variant.sha256,
        "commit": lineage.commit,
        "project_sha256": lineage.project_sha256,
        "reason": lineage.reason[:TAG_CHARACTERS],
        "decision_id": lineage.decision_id or "",
        "until": lineage.until.isoformat() if lineage.until else "",
        "table_sha256": split.table.sha256,
        "table_version": str(split.table.version),
        "test_sha256": split.test.sha256,
        "variant": variant.name,
    }
    return {name: value for name, value in tags.items() if value}


def verdict_tags(verdict: Verdict) -> dict[str, str]:
    """The verdict's main numbers, as tags."""
    tags = {
        "outcome": verdict.outcome,
        "verdict": verdict.reason[:TAG_CHARACTERS],
        f"candidate_{verdict.metric}": f"{verdict.candidate:.6g}",
    }
    if verdict.champion is not None:
        tags[f"champion_{verdict.metric}"] = f"{verdict.champion:.6g}"
    if verdict.difference_low is not None and verdict.difference_high is not None:
        tags["difference"] = f"{verdict.difference_low:+.4f} to {verdict.difference_high:+.4f}"
    return tags


def birth_story(
    lineage: Lineage,
    split: Split,
    fitted: FittedModel,
    workshop: Workshop,
    scorecard: Scorecard,
    learned: Mapping[str, str],
) -> str:
    """What a version was made from and how good it is, in Markdown; `learned` are its tags of that name."""
    table, variant = split.table, workshop.chosen
    asked = f" (decision `{lineage.decision_id}`)" if lineage.decision_id else ""
    lines = [
        f"**Why:** {lineage.reason}{asked}.",
        "",
        "| rows | number | from | to |",
        "|---|---|---|---|",
        *(_part_row(name, getattr(split, name)) for name in ("train", "validation", "test")),
        "",
        f"From version {table.version} of the table (content `{table.sha256[:12]}`); "
        f"{table.unlabelled:,} rows without a label were set aside.",
        "",
        learned_sentence(learned),
        "",
        f"**Fitted** in {fitted.seconds:.0f} s: {fitted.parameters:,} parameters, best of {fitted.epochs} epochs was "
        f"{fitted.best_epoch}. **Graph** `{variant.name}`: {variant.megabytes:.2f} MB, at most "
        f"{variant.max_difference:.1e} from the network.",
        "",
        f"| metric | on {scorecard.rows:,} test rows | interval |",
        "|---|---|---|",
        *(_metric_row(name, value, scorecard) for name, value in sorted(scorecard.metrics.items())),
        "",
        *_margins(scorecard),
        *_behaviours(scorecard),
        f"Code `{lineage.commit[:12]}`, project file `{lineage.project_sha256[:12]}`.",
    ]
    return _cut("\n".join(lines))


def with_verdict(story: str, verdict: Verdict, at: datetime | None) -> str:
    """The story with the verdict behind it, in place of an earlier one."""
    birth = story.partition(VERDICT_HEADING)[0].rstrip()
    when = f" on {at:%Y-%m-%d %H:%M} UTC" if at else ""
    # A verdict that lets a version through makes it champion at a moment, or a challenger first.
    outcome = LET_THROUGH if verdict.promote and not at else OUTCOMES[verdict.outcome]
    lines = [
        VERDICT_HEADING,
        f"**{outcome}**{when}: {verdict.reason}",
        "",
        f"| {verdict.metric} | on {verdict.rows:,} rows |",
        "|---|---|",
        f"| this version | {verdict.candidate:.4f} |",
        *([] if verdict.champion is None else [f"| champion then | {verdict.champion:.4f} |"]),
        "",
        *(_rule(rule) for rule in verdict.rules),
    ]
    told = "\n".join(lines)
    # Of a story too long for MLflow, the verdict is kept and the birth is cut.
    room = max(DESCRIPTION_CHARACTERS - len(told) - 2, 0)
    return _cut(f"{_cut(birth, room)}\n\n{told}".lstrip())


def rollback_tags(version: int, moves: Sequence[Move]) -> dict[str, str]:
    """The newest rollback that led away from a version and the newest that led to it, as tags.

    Args:
        version: Number of the version.
        moves: The rollbacks that concern it, oldest first.
    """
    tags: dict[str, str] = {}
    for move in moves:
        verb, other = ("restored", "from") if move.version == version else ("rolled_back", "to")
        tags |= {
            f"{verb}_at": move.at.isoformat(),
            f"{verb}_by": move.who,
            f"{verb}_reason": move.reason[:TAG_CHARACTERS],
            f"{verb}_{other}": str(move.before if verb == "restored" else move.version),
        }
    return tags


def with_rollbacks(story: str, version: int, moves: Sequence[Move]) -> str:
    """The story with its rollbacks on top, newest first, in place of those that stood there.

    On top, because it is what a reader must know first, and because a verdict replaces all that stands below it.
    """
    told = [_rollback(version, move) for move in reversed(moves[-ROLLBACKS_TOLD:])]
    rest = "\n".join(line for line in story.splitlines() if not line.startswith(ROLLED_BACK))
    if not told:
        return story
    return _cut("\n".join([*told, "", rest.lstrip("\n")]))


def with_challenge_end(story: str, step: Challenger, ending: str, at: datetime, reason: str) -> str:
    """The story with what came of the version's time as challenger on top, in place of an earlier one."""
    how = f"as canary of {step.share:.0%}" if step.variant == "canary" else f"as {step.variant}"
    how += f", step {step.step}" if step.purpose == "rollout" else f" in the probation of version {step.champion}"
    told = f"{CHALLENGED} {ending}** {how}, on {at:%Y-%m-%d %H:%M:%S} UTC: {_one_line(reason)}"
    rest = "\n".join(line for line in story.splitlines() if not line.startswith(CHALLENGED))
    return _cut("\n".join([told, "", rest.lstrip("\n")]))


def _rollback(version: int, move: Move) -> str:
    led = f"to this version from {move.before}" if move.version == version else f"from this version to {move.version}"
    return f"{ROLLED_BACK} {led} on {move.at:%Y-%m-%d %H:%M:%S} UTC by {move.who}: {_one_line(move.reason)}"


def _one_line(text: str) -> str:
    return _cut(" ".join(text.split()), TAG_CHARACTERS)


def model_story(project: str, target: str, kind: str) -> str:
    """What the registered model is, in Markdown."""
    return (
        f"Predicts `{target}` ({kind}) for the project **{project}**. The version with the alias `champion` is the one "
        "that answers requests. Each version's description says its rows, why, and how it was judged."
    )


def day(moment: datetime) -> str:
    """The date of a moment."""
    return f"{moment:%Y-%m-%d}"


def _metric_row(name: str, value: float, scorecard: Scorecard) -> str:
    low, high = scorecard.intervals.get(name, (None, None))
    interval = "" if low is None or high is None else f"{low:.4f} to {high:.4f}"
    return f"| {name} | {_number(value)} | {interval} |"


def _number(value: float) -> str:
    """With as many digits as its size deserves: 0.7320, 867,959, 1.6e-05."""
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.2g}"


def _margins(scorecard: Scorecard) -> list[str]:
    if not scorecard.margins:
        return []
    told = ", ".join(f"{value:+.4f} over {name}" for name, value in scorecard.margins.items())
    return [f"**Against simple models:** {told}.", ""]


def _behaviours(scorecard: Scorecard) -> list[str]:
    told = [_rule(rule) for rule in scorecard.behaviours]
    return [*told, ""] if told else []


def _rule(rule: Rule) -> str:
    return f"- {'held' if rule.passed else '**failed**'} {rule.name}: {rule.detail}"


def _part_row(name: str, part: Part) -> str:
    return f"| {name} | {part.rows:,} | {day(part.first)} | {day(part.last)} |"


def _cut(text: str, characters: int = DESCRIPTION_CHARACTERS) -> str:
    return text if len(text) <= characters else f"{text[: max(characters - 4, 0)]} ..."
