"""A server on loopback that gives the frame and passes presses of buttons on.

Whoever reaches it decides, as root of the local stack. So it listens on 127.0.0.1, answers only under that name (a name
that somebody points there is another one), and takes a POST only with the token that stands in its own page, which no
page from elsewhere can read.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.ui.functions import Failed, Functions, NotAllowed

HERE = Path(__file__).parent
MAX_BODY = 200_000
_NO_CONTEXT: Mapping[str, Any] = {}


class Server(ThreadingHTTPServer):
    """The page of the stack at ``endpoint``."""

    daemon_threads = True

    def __init__(self, port: int, endpoint: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.endpoint = endpoint
        self.token = secrets.token_urlsafe(32)
        self._own = threading.local()

    @property
    def functions(self) -> Functions:
        """Those of this thread: an account is not shared between threads."""
        if not hasattr(self._own, "functions"):
            self._own.functions = Functions(self.endpoint)
        found: Functions = self._own.functions
        return found

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def hosts(self) -> set[str]:
        """The names under which it may be asked."""
        return {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}

    def wait(self) -> None:
        """Until somebody interrupts."""
        threading.Event().wait()

    def page(self, nonce: str) -> str:
        """The frame; no script runs in it but its own."""
        filled = (HERE / "frame.html").read_text(encoding="utf-8")
        own = {
            "token": self.token,
            "nonce": nonce,
            "port": self.endpoint.rpartition(":")[2],
            "script": (HERE / "frame.js").read_text(encoding="utf-8"),
        }
        for name, value in own.items():
            filled = filled.replace(f"{{{{{name}}}}}", value)
        return filled


@contextmanager
def served(endpoint: str, port: int = 0) -> Iterator[Server]:
    """While the block runs. ``port`` 0: any free one."""
    server = Server(port, endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if not self._is_asked_here():
            return
        if self.path.partition("?")[0] != "/":
            self._say(404, "there is only /")
            return
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        self._say(200, self.server.page(nonce), "text/html; charset=utf-8", {"Content-Security-Policy": policy})

    def do_POST(self) -> None:
        if not self._is_asked_here() or not self._is_from_own_page():
            return
        try:
            body = self._body()
            html = self._answer(body)
        except NotAllowed as error:
            self._say(403, str(error))
        except (ValueError, TypeError) as error:
            self._say(400, str(error))
        except (Failed, BotoCoreError, ClientError) as error:
            self._say(502, str(error))
        else:
            self._say(200, json.dumps({"html": html}), "application/json")

    def _answer(self, body: Mapping[str, Any]) -> str:
        context = body.get("widgetContext", _NO_CONTEXT)
        if self.path == "/widget":
            return self.server.functions.widget(context)
        if self.path == "/call":
            return self.server.functions.call(body.get("endpoint"), body.get("request"), context)
        raise NotAllowed(f"there is no {self.path:.80}")

    def _body(self) -> Mapping[str, Any]:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= MAX_BODY:
            raise ValueError(f"more than {MAX_BODY} bytes")
        body = json.loads(self.rfile.read(length))
        if not isinstance(body, Mapping):
            raise TypeError("expected an object")
        return body

    def _is_asked_here(self) -> bool:
        """By its own name: a name of elsewhere that leads to 127.0.0.1 would be of that page's origin."""
        if self.headers.get("Host") in self.server.hosts:
            return True
        self._say(403, "ask 127.0.0.1")
        return False

    def _is_from_own_page(self) -> bool:
        origin = self.headers.get("Origin")
        known = origin is None or origin.removeprefix("http://") in self.server.hosts
        given = (self.headers.get("X-Selfheal-Token") or "").encode()
        if known and hmac.compare_digest(given, self.server.token.encode()):
            return True
        self._say(403, "not from its own page")
        return False

    def _say(self, code: int, text: str, kind: str = "text/plain", more: Mapping[str, str] = _NO_CONTEXT) -> None:
        body = text.encode()
        self.send_response(code)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store",
                   "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", **more}  # fmt: skip
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not on the screen."""
