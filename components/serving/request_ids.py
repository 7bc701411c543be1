"""What the caller calls its request: kept beside ours in the ledger, and sent back."""

from components.serving.refusals import Refused

REQUEST_ID_HEADER = b"x-request-id"
MAX_BYTES = 128
# Printable ASCII; anything else could break a line of a log, or a header of the answer.
PRINTABLE = frozenset(range(0x21, 0x7F))


def caller_request_id(headers: dict[bytes, bytes]) -> str | None:
    """The caller's name of the request; None if it has none.

    Args:
        headers: Headers of the request, names in lower case.

    Raises:
        Refused: 400 if it is nothing to be written down. It is not ignored, since its sender would look for it later.
    """
    sent = headers.get(REQUEST_ID_HEADER)
    if sent is None:
        return None
    if not 0 < len(sent) <= MAX_BYTES or not PRINTABLE.issuperset(sent):
        raise Refused(
            400,
            f"wanted 1 to {MAX_BYTES} printable ASCII characters without spaces in the header x-request-id, found "
            "others; leave it out, and take the id of the answer",
        )
    return sent.decode("ascii")
