"""How often the endpoint asked a challenger, and how often that failed: what its /metrics say, seen from outside."""

from components.records.models import Challenger
from components.serving.counts_page import counts_of, counts_page

ASKED = "everfit_challenger_seconds_count"
FAILED = "everfit_challenger_failures_total"


def rival_counts(service: str, challenger: Challenger) -> tuple[int, int] | None:
    """Requests that the challenger was asked since the endpoint started, and those of them that it failed.

    Args:
        service: Address of the endpoint.
        challenger: The version, and how it is asked.

    Returns:
        Both numbers, 0 for what was never counted; None if the endpoint does not answer, or shows its counts to others
        only (EVERFIT_API_KEY needs the scope admin): then nobody knows.
    """
    page = counts_page(service)
    if page is None:
        return None
    answered, failed = (_sum(page, name, challenger) for name in (ASKED, FAILED))
    return answered + failed, failed


def _sum(page: str, name: str, challenger: Challenger) -> int:
    wanted = {f'variant="{challenger.variant}"', f'version="{challenger.version.version}"'}
    return round(sum(value for labels, value in counts_of(page, name) if wanted <= labels))
