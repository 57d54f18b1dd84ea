"""AWS on loopback over TLS, with a certificate authority made for this run: it answers what was recorded."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.bench.cold_start_record import Answer, key_of

IN_INIT = b'"pk": {"S": "init"}'
"""What selfheal reads of its ledger in INIT: it is no part of what was recorded."""
_NOTHING = Answer(200, {}, b"{}")


@dataclass
class Stub:
    """`expect` says what comes; `unknown` are the calls that were not expected, `served` how many were answered."""

    url: str = ""
    authority: Path = Path()
    served: int = 0
    unknown: list[str] = field(default_factory=list)
    _answers: dict[str, list[Answer]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, answers: Mapping[str, list[Answer]]) -> None:
        """From now on: these, by key, each list in its order; the last of a list is repeated."""
        with self._lock:
            self._answers = {key: list(found) for key, found in answers.items()}
            self.served = 0
            self.unknown.clear()

    def answer(self, key: str, body: bytes) -> Answer:
        """What AWS says to this call."""
        if IN_INIT in body:
            return _NOTHING
        with self._lock:
            self.served += 1
            found = self._answers.get(key)
            if not found:
                self.unknown.append(key)
                return Answer(404, {"x-amzn-ErrorType": "ResourceNotFoundException"}, b'{"message": "not recorded"}')
            return found.pop(0) if len(found) > 1 else found[0]


@contextlib.contextmanager
def stub(folder: Path) -> Iterator[Stub]:
    """A running stub; its key, certificate and authority lie in `folder`."""
    made = Stub(authority=folder / "authority.pem")
    certify(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": made}))
    server.context = context
    made.url = f"https://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


def certify(folder: Path) -> None:
    """A certificate authority and a certificate of it for 127.0.0.1, valid for two days, by the openssl command."""
    folder.mkdir(parents=True, exist_ok=True)
    extensions = folder / "server.ext"
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    steps = (
        [*new, "-x509", "-keyout", "authority.key", "-out", "authority.pem", "-subj", "/CN=the bench"],
        ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr",
         "-subj", "/CN=127.0.0.1"],
        ["openssl", "x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "authority.pem", "-CAkey",
         "authority.key", "-CAcreateserial", "-extfile", "server.ext", "-out", "server.pem"],
    )  # fmt: skip
    for command in steps:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, stdin=subprocess.DEVNULL)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    context: ssl.SSLContext

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The handshake in the connection's own thread."""
        with contextlib.suppress(OSError):
            super().process_request_thread(self.context.wrap_socket(request, server_side=True), client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    stub: Stub

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._chunks()
        answer = self.stub.answer(key_of(self.command, self.path, dict(self.headers), body), body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("x-amzn-RequestId", "00000000-0000-4000-8000-000000000000")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve  # noqa: N815 - as http.server calls them

    def handle_expect_100(self) -> bool:
        """S3's clients wait for it before they send an object."""
        answered = super().handle_expect_100()
        self.wfile.flush()
        return answered

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def log_message(self, *_: Any) -> None:
        """Nothing: who measures does not print."""
