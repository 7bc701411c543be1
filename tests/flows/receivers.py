"""Who is told in the tests: a web server that keeps what it is sent, and a mail server that takes letters."""

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Web:
    """A web server on the loopback.

    Attributes:
        address: Its URL.
        bodies: The JSON that was sent, in order.
        paths: Where to.
        status: What it answers with.
        seconds: How long it takes to.
    """

    address: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    status: int = 200
    seconds: float = 0.0


@contextmanager
def web_server() -> Iterator[Web]:
    """A running web server."""
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            time.sleep(web.seconds)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            web.bodies.append(json.loads(body))
            web.paths.append(self.path)
            self.send_response(web.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *arguments: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    web.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Post:
    """A mail server on the loopback.

    Attributes:
        port: Where it listens.
        letters: What was sent, in order.
        receivers: To whom, as the envelope says.
    """

    port: int = 0
    letters: list[EmailMessage] = field(default_factory=list)
    receivers: list[list[str]] = field(default_factory=list)


@contextmanager
def mail_server() -> Iterator[Post]:
    """A running mail server that speaks as much SMTP (RFC 5321) as it takes to hand in a letter."""
    post = Post()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

        def handle(self) -> None:
            self.say("220 post")
            to: list[str] = []
            while line := self.rfile.readline():
                word = line.decode().strip()
                if word.upper().startswith("DATA"):
                    self.say("354 go on")
                    post.letters.append(self.letter())
                    post.receivers.append(to)
                    to = []
                elif word.upper().startswith("RCPT TO:"):
                    to.append(word[8:].strip("<>"))
                self.say("221 bye" if word.upper() == "QUIT" else "250 ok")
                if word.upper() == "QUIT":
                    return

        def letter(self) -> EmailMessage:
            lines = []
            while (line := self.rfile.readline()) not in {b".\r\n", b""}:
                lines.append(line.removeprefix(b"."))
            found = message_from_bytes(b"".join(lines), policy=policy.default)
            assert isinstance(found, EmailMessage)
            return found

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        post.port = server.server_address[1]
        yield post
        server.shutdown()
