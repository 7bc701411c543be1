"""Stands where Python would: asks the nursery for a ready child, passes signals on, and ends as the child ends.

Started without site-packages, so that it costs 20 ms: nothing but the standard library may be imported here.
    warm_client.py SOCKET PYTHON -m MODULE ...
"""

import json
import os
import signal
import socket
import sys

# What is ready in the nursery. Any other program wants a Python of its own: a server in a sandbox inherits a socket,
# and the memory of a variant is measured without torch.
WARM = ("prefect", "flows", "components.training")


def main(address: str, python: str, arguments: list[str]) -> int:
    """Exit code of the run."""
    is_warm = arguments[:1] == ["-m"] and arguments[1].startswith(WARM)
    nursery = _connect(address) if is_warm else None
    if nursery is None:
        os.execv(python, [python, *arguments])  # noqa: S606 - the very Python that would have been started without us
    request = {"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}  # noqa: PTH109
    line = json.dumps(request).encode() + b"\n"
    sent = socket.send_fds(nursery, [line[:65536]], [0, 1, 2])
    nursery.sendall(line[sent:])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, frame: nursery.sendall(bytes([received])))
    with nursery.makefile("rb") as answers:
        ending = answers.readline()
    return int(ending) if ending else 1


def _connect(address: str) -> socket.socket | None:
    nursery = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        nursery.connect(address)
    except OSError:
        return None
    return nursery


def _end_as(code: int) -> None:
    """End with that code, or by that signal, so that who waits for us sees what became of the run."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    _end_as(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
