"""How often the endpoint asked a challenger, and how often that failed: what its /metrics say, seen from outside."""

import re

import httpx

from components.records.models import Challenger
from components.serving.rollout import key_header
from components.settings.environment import Environment

ASKED = "everfit_challenger_seconds_count"
FAILED = "everfit_challenger_failures_total"
LINE = re.compile(r"^(?P<name>\w+)\{(?P<labels>[^}]*)\} (?P<value>\S+)")


def rival_counts(service: str, challenger: Challenger) -> tuple[int, int] | None:
    """Requests that the challenger was asked since the endpoint started, and those of them that it failed.

    Args:
        service: Address of the endpoint.
        challenger: The version, and how it is asked.

    Returns:
        Both numbers, 0 for what was never counted; None if the endpoint does not answer, or shows its counts to others
        only (EVERFIT_API_KEY needs the scope admin): then nobody knows.
    """
    try:
        answer = httpx.get(f"{service}/metrics", timeout=10, headers=key_header(Environment()))
    except httpx.HTTPError:
        return None
    if answer.status_code != httpx.codes.OK:
        return None
    answered, failed = (_sum(answer.text, name, challenger) for name in (ASKED, FAILED))
    return answered + failed, failed


def _sum(page: str, name: str, challenger: Challenger) -> int:
    wanted = {f'variant="{challenger.variant}"', f'version="{challenger.version.version}"'}
    found = (LINE.match(line) for line in page.splitlines() if line.startswith(name))
    return round(
        sum(
            float(one["value"])
            for one in found
            if one and one["name"] == name and wanted <= set(one["labels"].split(","))
        )
    )
