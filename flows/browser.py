"""Opens a page for the person who asked for it, where that person has a browser here."""

import logging
import os
import sys
import webbrowser
from pathlib import Path

log = logging.getLogger(__name__)


def opened(page: Path) -> bool:
    """Whether a browser was asked to show the page; never an error, since the page is there all the same.

    Without a display only a browser for the terminal could be found, which would take the terminal over.
    """
    has_display = sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if not (has_display or os.environ.get("BROWSER")):
        return False
    try:
        return webbrowser.open(page.resolve().as_uri())
    except (webbrowser.Error, OSError) as err:
        log.warning("no browser could be opened for %s: %s", page, err)
        return False
