"""GitHub's REST API, as far as starting a workflow needs it: one request at a time, no redirect, no repetition.

Errors, by what they prove: TargetForbidden, TargetNotFound, NotApplied (GitHub refused, or was never reached: nothing
was done), Unreadable (no clear answer: a POST may have been carried out). The token stands in no message: every text
that leaves this module goes through `Api.clean`.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import field
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

import urllib3

from selfheal.aws_errors import AwsError, translate
from selfheal.clients import client
from selfheal.dead_letter import preview
from selfheal.errors import Misconfigured, NotApplied, TargetForbidden, TargetNotFound, Unreadable
from selfheal.frozen import dataclass

VERSION = "2022-11-28"
CONNECT_S = 3.0
READ_S = 15.0
MAX_BODY = 2_000_000
MAX_MESSAGE = 300
HERE = ("127.0.0.1", "localhost")
"""The only hosts that are asked without TLS: a token goes nowhere else in the clear."""
_TOKEN = re.compile(r"[\x21-\x7e]{8,2000}")
_NEVER_REACHED = (
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ProxyError,
    urllib3.exceptions.SSLError,
)


@dataclass(frozen=True)
class Answer:
    """Status, headers in lower case, and the beginning of the body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def document(self) -> Mapping[str, Any]:
        """The body as a JSON object; an empty one for anything else."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def exchange(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
    """One request and its answer. Raises urllib3's errors. The one place where anything leaves for GitHub."""
    ends, timeout = time.monotonic() + READ_S, urllib3.Timeout(connect=CONNECT_S, read=READ_S)
    with urllib3.PoolManager(timeout=timeout, retries=False) as pool:
        raw = pool.request(method, url, headers=dict(headers), body=body, redirect=False, preload_content=False)
        read = b""
        try:
            while len(read) < MAX_BODY and (part := raw.read1(65_536)):
                read += part
                if time.monotonic() > ends:
                    raise urllib3.exceptions.ReadTimeoutError(pool, url, "the answer never ended")  # type: ignore[arg-type]
        finally:
            raw.close()
    return Answer(raw.status, {name.lower(): value for name, value in raw.headers.items()}, read)


class Api:
    """GitHub under one token. `secret` is the name of the secret that holds it: as plain text, or as JSON with one of
    the fields `token` and `GITHUB_TOKEN`."""

    def __init__(self, secret: str) -> None:
        self._base = base()
        self._secret = secret
        self._token = _token(secret)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """The document at `path`."""
        answer = self._send("GET", path + (f"?{urlencode(query)}" if query else ""))
        if answer.status != 200:
            self.refuse(answer, path)
        return answer.document

    def post(self, path: str, document: Mapping[str, Any]) -> Answer:
        """The answer to a POST, whatever its status. Raises NotApplied if GitHub was not reached, Unreadable if no
        answer came."""
        return self._send("POST", path, json.dumps(document).encode())

    def refuse(self, answer: Answer, path: str) -> NoReturn:
        """Raise what an answer other than the expected one means, with what would be right."""
        status, told = answer.status, self.clean(str(answer.document.get("message") or ""))
        what = f"GitHub {path}: {status} {told}".rstrip()
        limited = answer.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in answer.headers
        if status >= 500:
            raise Unreadable("GitHub", f"{status} {told}".rstrip())
        if status == 429 or (status == 403 and limited):
            raise NotApplied(f"{what}; GitHub's rate limit for this token is used up: wait")
        if status == 401:
            raise TargetForbidden(f"{what}; the token in secret {self._secret} has expired or is none: renew it")
        if status == 403:
            raise TargetForbidden(f"{what}; the token in secret {self._secret} needs the permission Actions: write")
        if status == 404:
            raise TargetNotFound(f"{what}; misspelt, or the token in secret {self._secret} may not see the repository")
        if 300 <= status < 400:
            raise NotApplied(f"{what}; it answers with a redirect: name the repository as it is called now")
        raise NotApplied(what)

    def clean(self, text: str) -> str:
        """Short, on one line, and without the token."""
        line = "".join(letter if letter.isprintable() else " " for letter in text[: MAX_MESSAGE * 10])
        return preview(line.replace(self._token, "***"), MAX_MESSAGE)

    def _send(self, method: str, path: str, body: bytes | None = None) -> Answer:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "User-Agent": "selfheal",
            "X-GitHub-Api-Version": VERSION,
        }
        try:
            return exchange(method, f"{self._base}{path}", headers, body)
        except _NEVER_REACHED as error:
            raise NotApplied(f"GitHub was not reached: {self.clean(str(error))}") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreadable("GitHub", f"no answer to {method} {path} ({type(error).__name__})") from None


def base() -> str:
    """The API's address, from the stack's parameter GithubApi. Raises Misconfigured."""
    given = os.environ.get("GITHUB_API", "https://api.github.com").rstrip("/")
    parts = urlsplit(given)
    plain = parts.scheme == "http" and parts.hostname in HERE
    if not (parts.scheme == "https" or plain) or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise Misconfigured("environment variable GITHUB_API must be https://HOST, or https://HOST/api/v3")
    return given


def _token(secret: str) -> str:
    """Raises what `translate` makes of AWS's answer; NotApplied if there is no token in the secret."""
    try:
        text = str(client("secretsmanager").get_secret_value(SecretId=secret).get("SecretString") or "").strip()
    except AwsError as error:
        translate(error, f"secret {secret}")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        text = str(document.get("token") or document.get("GITHUB_TOKEN") or "").strip()
    if not _TOKEN.fullmatch(text):  # urllib3 would quote a header that it can't send in its error
        raise NotApplied(f"secret {secret} holds no token: put it there as plain text, or as JSON with a field token")
    return text
