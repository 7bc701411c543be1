"""What `everfit notices` prints: who is told, what became of the newest notices, and of a test."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.settings.project import Project
from flows.notices import notice_box, of_test
from flows.sending import tests, unknown

NEWEST = 20
# A mail server may take some seconds.
TEST_SECONDS = 30.0
COLOURS = {"told": "green", "waiting": "yellow", "sending": "yellow", "given_up": "red"}


def listing(project: Project) -> None:
    """Print the receivers, what is wrong with them, and the newest notices."""
    console, settings = Console(highlight=False), project.monitoring.notices
    if not settings.blocks:
        console.print("nobody is told: monitoring.notices.blocks is empty", markup=False)
    else:
        told = f"{', '.join(settings.blocks)}: {', '.join(settings.events)}"
        console.print(f"told are {told}", markup=False, soft_wrap=True)
    for sentence in unknown(project):
        console.print(sentence, markup=False, soft_wrap=True)
    entries = notice_box(project.name).history(project.name, NEWEST)
    if not entries:
        console.print("nothing has been told yet")
        return
    table = Table(title="Newest notices", title_justify="left")
    for head in ("at (UTC)", "to", "event", "subject", "state", "tries"):
        table.add_column(head, overflow="fold")
    for entry in entries:
        state = f"[{COLOURS[entry.state]}]{entry.state}[/]" + (f": {escape(entry.failure)}" if entry.failure else "")
        table.add_row(
            f"{entry.noted_at:%Y-%m-%d %H:%M:%S}",
            escape(entry.block),
            entry.notice.event,
            escape(entry.notice.subject),
            state,
            str(entry.tries),
        )
    console.print(table)


def try_out(project: Project) -> bool:
    """Send a test notice to each receiver, and print what became of it; whether all received it."""
    console = Console(highlight=False)
    unknown(project)  # opens the local Prefect database where there is no server, which may take longer than a test
    became = tests(project, of_test(project), seconds=TEST_SECONDS)
    if not became:
        console.print("nobody is told: monitoring.notices.blocks is empty", markup=False)
    for block, why in became.items():
        console.print(f"{block}: {why or 'received'}", markup=False, soft_wrap=True)
    return not any(became.values())
