"""Where the page about the loop stands, and how it is opened for a person who has a browser here."""

import logging
import os
import sys
import webbrowser
from pathlib import Path

from components.settings.environment import Environment
from components.settings.project import Project

log = logging.getLogger(__name__)


def default_page(project: Project, environment: Environment) -> Path:
    """Where the page stands if nobody says otherwise: beside the reports of its windows."""
    return environment.work(project.name) / "report.html"


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
