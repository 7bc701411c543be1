"""A page as a person sees it: opened in headless Chromium, with its text, its errors and a picture of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Page, sync_playwright

from tests.programs import require_program

# No sandbox, because CI runs as root in a container. The rest keeps the browser off the network.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class View:
    """An open page.

    Attributes:
        page: Playwright's page, for clicks and queries.
        errors: What the page wrote to the console as an error, uncaught exceptions, and requests that failed.
    """

    page: Page
    errors: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The visible text."""
        return self.page.inner_text("body")

    def screenshot(self, path: Path) -> Path:
        """A PNG of the whole page."""
        self.page.screenshot(path=path, full_page=True)
        return path


@contextmanager
def open_page(address: str | Path, *, width: int = 1280, height: int = 900, seconds: float = 30) -> Iterator[View]:
    """A page in headless Chromium, once it has loaded and is quiet.

    Args:
        address: URL, or path of an HTML file.
        width: Width of the window in pixels.
        height: Height of the window in pixels.
        seconds: How long loading and each query may take.
    """
    program = require_program("chromium", "chromium")
    url = address.resolve().as_uri() if isinstance(address, Path) else address
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(seconds * 1000)
        view = View(page)
        _collect_errors(view)
        page.goto(url, wait_until="load")
        yield view
        browser.close()


def _collect_errors(view: View) -> None:
    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            view.errors.append(f"{message.text} ({message.location['url']})")

    view.page.on("console", note)
    view.page.on("pageerror", lambda error: view.errors.append(str(error)))
    view.page.on("requestfailed", lambda request: view.errors.append(f"{request.url} {request.failure}"))
