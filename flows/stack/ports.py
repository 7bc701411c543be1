"""Ports: who listens where, said in a sentence a person can act on."""

import contextlib
import socket

import psutil

from components.errors import PortInUse


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: a port in TIME_WAIT after a restart counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def refuse_taken(server: str, host: str, port: int, setting: str) -> None:
    """Nothing, if the port is free.

    Raises:
        PortInUse: If someone listens there; names the port, who it is, and the setting that moves the server.
    """
    if not is_free(host, port):
        raise PortInUse(
            f"{server} wants to listen on {host}:{port}, but {_listener(port)} does; "
            f"stop that, or choose another port with {setting}={port + 1}"
        )


def free_port(host: str = "127.0.0.1") -> int:
    """A port that is free now. Another program may take it before it is used; for tests and the demo."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _listener(port: int) -> str:
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return "another program"
