"""A server on 127.0.0.1 that stands in for whoever is told by HTTP: it takes what is posted and keeps it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Posted:
    """One request."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Receiver:
    """What has arrived; `answers` maps a path to the status that it is answered with (200)."""

    url: str = ""
    posted: list[Posted] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)

    def at(self, path: str) -> list[Posted]:
        """What arrived under one path."""
        return [one for one in self.posted if one.path == path]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Listens while the block runs."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.posted.append(Posted(self.path, headers, json.loads(body)))
            self.send_response(receiver.answers.get(self.path, 200))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
