"""The helper that looks at pages sees what a person would, and what the console says."""

from pathlib import Path

import pytest

from tests.browser import open_page

pytestmark = pytest.mark.browser


def test_a_page_is_seen_with_its_text_its_errors_and_a_picture(tmp_path: Path):
    """A page written by a script is read after the script ran, and an error in another script is not missed."""
    html = tmp_path / "page.html"
    html.write_text(
        "<body><p id=t></p><script>t.textContent = 'fit ' + (40 + 2)</script>"
        "<script>throw new Error('worn out')</script></body>"
    )

    with open_page(html) as view:
        text, picture = view.text, view.screenshot(tmp_path / "page.png")

    assert "fit 42" in text
    assert any("worn out" in error for error in view.errors)
    assert picture.read_bytes().startswith(b"\x89PNG")
