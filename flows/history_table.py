"""What `everfit history` prints: which version was live when, and what brought it there."""

from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.errors import ModelNotFound
from components.records.models import Challenger
from components.registry.challengers import Episode, episodes
from components.registry.history import LiveEntry, live_at, live_history
from components.settings.reading import load_project


def model_name(name_or_project: str) -> str:
    """The model that a person means by its name or by its project file.

    Raises:
        ProjectFileError: If the file cannot be read.
    """
    path = Path(name_or_project)
    return load_project(path).name if path.suffix in {".yaml", ".yml"} else name_or_project


def tell(name: str, at: datetime | None) -> None:
    """Print what was live at that moment, or else at all times.

    Raises:
        ModelNotFound: If nothing ever was.
    """
    console = Console(highlight=False)
    if at is None:
        print_history(name, console)
    else:
        console.print(sentence_at(name, at), markup=False, soft_wrap=True)


def print_history(name: str, console: Console) -> None:
    """Print every stretch of time in which one version was live, oldest first.

    Raises:
        ModelNotFound: If none ever was.
    """
    entries = live_history(name)
    if not entries:
        raise _never_live(name)
    has_several = len({entry.service for entry in entries}) > 1
    table = Table(title=f"What was live of {name}", title_justify="left")
    table.add_column("version", justify="right")
    table.add_column("from (UTC)", no_wrap=True)
    table.add_column("for", no_wrap=True)
    if has_several:
        table.add_column("at", overflow="fold")
    table.add_column("because", overflow="fold")
    for entry in entries:
        length = _length(entry) if entry.until else f"[bold green]{_length(entry)}, still[/bold green]"
        where = [escape(entry.service)] if has_several else []
        table.add_row(str(entry.version), f"{entry.since:%Y-%m-%d %H:%M:%S}", length, *where, escape(_because(entry)))
    console.print(table)
    if rollouts := episodes(name):
        console.print(_challengers(rollouts))


def sentence_at(name: str, moment: datetime) -> str:
    """What was live at that moment, and why, as one sentence.

    Raises:
        ModelNotFound: If nothing ever was.
    """
    entry = live_at(name, moment)
    if entry is None:
        entries = live_history(name)
        if not entries:
            raise _never_live(name)
        first = entries[0]
        return (
            f"at {moment:%Y-%m-%d %H:%M:%S} UTC no version of {name} was live yet; the first, version {first.version}, "
            f"came at {first.since:%Y-%m-%d %H:%M:%S} UTC"
        )
    until = f"until {entry.until:%Y-%m-%d %H:%M:%S} UTC" if entry.until else "and still is"
    because = f": {_because(entry)}" if _because(entry) else ""
    where = f" at {entry.service}" if entry.service else ""
    beside = "".join(_beside(episode, moment) for episode in episodes(name))
    return (
        f"at {moment:%Y-%m-%d %H:%M:%S} UTC version {entry.version} of {name} was live{where}, "
        f"since {entry.since:%Y-%m-%d %H:%M:%S} UTC {until}{because}{beside}"
    )


def _challengers(rollouts: list[Episode]) -> Table:
    """Which version was asked beside the champion when, through which steps, and how that ended."""
    table = Table(title="Challengers and probations", title_justify="left")
    table.add_column("version", justify="right")
    table.add_column("from (UTC)", no_wrap=True)
    table.add_column("steps", overflow="fold")
    table.add_column("ended", overflow="fold")
    for one in rollouts:
        steps = ", ".join(_step(step) for step in one.steps)
        by = f" by {one.who}" if one.who else ""
        ended = f"{one.ending} {one.until:%Y-%m-%d %H:%M:%S}{by}: {one.reason}" if one.until else "still runs"
        table.add_row(str(one.version), f"{one.since:%Y-%m-%d %H:%M:%S}", steps, escape(ended))
    return table


def _beside(episode: Episode, moment: datetime) -> str:
    """Who was challenger at that moment."""
    if moment < episode.since or (episode.until is not None and moment >= episode.until):
        return ""
    step = [step for step in episode.steps if step.since <= moment][-1]
    return f"; beside it version {episode.version} was {_step(step)}"


def _step(step: Challenger) -> str:
    if step.purpose == "probation":
        return f"shadow in the probation of version {step.champion}"
    return f"canary of {step.share:.0%}" if step.variant == "canary" else step.variant


def _because(entry: LiveEntry) -> str:
    move = entry.move
    if move is None:
        return ""
    unseen = "" if entry.is_seen else " (the alias says so; nobody noted an answer)"
    if move.is_rollback:
        return f"{move.who} rolled back from {move.before}: {move.reason}{unseen}"
    over = f"promoted over {move.before}" if move.before else "promoted"
    return f"{over}: {move.reason}{unseen}"


def _length(entry: LiveEntry) -> str:
    seconds = int(((entry.until or datetime.now(UTC)) - entry.since).total_seconds())
    days, rest = divmod(max(seconds, 0), 86_400)
    hours, minutes = rest // 3600, rest % 3600 // 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest % 60} s"


def _never_live(name: str) -> ModelNotFound:
    return ModelNotFound(
        f"wanted what was live of {name}, found that no version of it ever was; look at its name, or make one with "
        "everfit train and everfit release"
    )
