"""What `everfit history` prints: which version was live when, and what brought it there."""

from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.errors import ModelNotFound
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
    return (
        f"at {moment:%Y-%m-%d %H:%M:%S} UTC version {entry.version} of {name} was live{where}, "
        f"since {entry.since:%Y-%m-%d %H:%M:%S} UTC {until}{because}"
    )


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
