"""A real HTTP server on loopback that keeps what is posted to it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "T0KEN-b1g-secret"  # noqa: S105 (of no server; tests look where it turns up)


@dataclass
class Receiver:
    """What came, and what to answer: the codes of `answers` in turn, then 200."""

    address: str = ""
    answers: list[int] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def webhook(self) -> str:
        return f"{self.address}/services/{TOKEN}?key={TOKEN}"


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A server that listens until the block ends."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            kept.raw.append(text)
            kept.bodies.append(json.loads(text))
            kept.paths.append(self.path)
            code = kept.answers.pop(0) if kept.answers else 200
            self.send_response(code)
            if 300 <= code < 400:
                self.send_header("Location", f"{kept.address}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            kept.paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
