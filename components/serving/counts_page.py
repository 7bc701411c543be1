"""What the endpoint's /metrics say, read from outside: how much it was asked, and how much of that failed."""

import re
from collections.abc import Iterator

import httpx

from components.records.watching import Requests
from components.serving.rollout import key_header
from components.settings.environment import Environment

REQUESTS = "everfit_requests_total"
PREDICT = 'route="/predict"'
FAILED = re.compile(r'^status="5\d\d"$')
LINE = re.compile(r"^(?P<name>\w+)\{(?P<labels>[^}]*)\} (?P<value>\S+)")


def requests_since(service: str, before: tuple[int, int] | None) -> Requests | None:
    """Requests for predictions that the endpoint counted since then; those for labels, pages or counts are not in it.

    Its counts begin anew with each start of the endpoint. So where they are smaller than before they count since that
    start, and what came between `before` and the start is lost; where they have outgrown the old ones, nobody can tell.

    Args:
        service: Address of the endpoint.
        before: The counts of an earlier look; None counts since the endpoint's start.

    Returns:
        None if the endpoint does not answer, or shows its counts to others only (EVERFIT_API_KEY needs the scope
        admin): then nobody knows.
    """
    page = counts_page(service)
    if page is None:
        return None
    found = [(labels, value) for labels, value in counts_of(page, REQUESTS) if PREDICT in labels]
    asked = round(sum(value for _, value in found))
    failed = round(sum(value for labels, value in found if any(FAILED.match(label) for label in labels)))
    earlier = before if before is not None and before[0] <= asked and before[1] <= failed else (0, 0)
    return Requests(asked=asked - earlier[0], failed=failed - earlier[1], counted=(asked, failed))


def counts_page(service: str) -> str | None:
    """The page that Prometheus scrapes; None if the endpoint does not answer, or does not show it to this key."""
    try:
        answer = httpx.get(f"{service}/metrics", timeout=10, headers=key_header(Environment()))
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
    return answer.text if answer.status_code == httpx.codes.OK else None


def counts_of(page: str, name: str) -> Iterator[tuple[set[str], float]]:
    """The labels of each series of that name, such as `status="200"`, and its value."""
    for line in page.splitlines():
        found = LINE.match(line)
        if found and found["name"] == name:
            yield set(found["labels"].split(",")), float(found["value"])
