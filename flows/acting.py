"""Carrying decisions out in this process: what `everfit monitor` and `everfit reconcile` do where no server is.

With a server an event starts the retrain deployment. Without one nobody would hear it, so whoever decides also acts, by
the same flow, and before it ends looks once more for what was decided meanwhile.
"""

from collections.abc import Callable

from components.data.decisions import DecisionEntry
from components.settings.project import Project
from flows import turns
from flows.events import has_listener
from flows.folders import outbox
from flows.retrain import retrain


def follow(project: Project, *, away: str, say: Callable[[str], None]) -> None:
    """See to what was decided and is open, just now or earlier.

    With a server it is announced already. One that should be there and is away comes back with its runner, so what was
    decided is left to these (and to `everfit reconcile`, for whoever cannot wait). Without any it is carried out here.

    Args:
        project: The project.
        away: Address of the server that does not answer; empty if there is none, or if it does.
        say: Takes each sentence.
    """
    if away:
        for entry in outbox(project.name).pending(project.name):
            say(
                f"decision {entry.decision.id} stays open until Prefect answers again at {away}; everfit reconcile "
                "carries it out at once, in its own process"
            )
    elif not has_listener():
        carry_out(project, say)


def carry_out(project: Project, say: Callable[[str], None]) -> list[str]:
    """Carry out what is open, one decision after the other, until nothing is; what came of each, as sentences.

    What another process retrains, or will when it is done with that, is left to it: whoever holds the turn looks for
    open decisions after giving it back, so none is left lying between two processes.

    Args:
        project: The project.
        say: Takes each sentence when it is true: a retraining may take hours.

    Raises:
        EverfitError: If a retraining fails; its decision is open again, and says why.
    """
    told: list[str] = []

    def tell(sentence: str) -> None:
        told.append(sentence)
        say(sentence)

    box = outbox(project.name)
    while True:
        try:
            with turns.turn(project.name) as left:
                for decision_id in left:
                    tell(f"decision {decision_id}: {turns.GONE}; it is open again")
        except turns.Taken as err:
            for entry in box.pending(project.name):
                tell(f"decision {entry.decision.id} waits: {err}")
            return told
        box.supersede(project.name)
        if not (waiting := box.pending(project.name)):
            return told
        entry = waiting[-1]
        tell(f"decision {entry.decision.id} is carried out in this process: {entry.decision.reason}")
        decision = entry.decision
        retrain(project.file, decision_id=decision.id, until=decision.window.end, reason=decision.reason)
        ended = box.entry(decision.id)
        tell(became(ended or entry))
        if ended is None or ended.is_open:
            return told


def became(entry: DecisionEntry) -> str:
    """What has come of a decision so far, as one sentence."""
    head, detail = f"decision {entry.decision.id}", f": {entry.detail}" if entry.detail else ""
    if entry.is_open:
        return f"{head} is open{detail}"
    version = f", version {entry.candidate_version}" if entry.candidate_version else ""
    return f"{head} ended as {entry.outcome or entry.state}{version}{detail}"
