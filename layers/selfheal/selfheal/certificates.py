"""Whom AWS's certificates are signed by: Amazon's own roots first, all of botocore's as soon as those do not suffice.

botocore loads its 126 roots for each new connection (some 16 ms of CPU each time). The build cuts those that sign AWS's
endpoints out of them (`selfheal_build.certificates`). Where a certificate cannot be verified with these few, the same
call is made again with all of them, once for each client and for good: a handshake that failed has sent nothing, so
nothing is lost and nothing done twice. Only the laptop and a bundle of the user's own are left as they are.
"""

from __future__ import annotations

import os
import ssl
from functools import cache, partial
from pathlib import Path
from typing import Any

import botocore
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from selfheal.observability import logger

BUNDLE = "cacert-amazon.pem"
"""Beside botocore's own cacert.pem, in the layer only."""
_OF_THE_USER = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
"""botocore reads both; who has set one has said whom to trust."""
_all_roots = False


def bundle() -> str | None:
    """The file with Amazon's roots; None where there is none, where the user named another, or where it did not do."""
    if _all_roots or any(os.environ.get(name) for name in _OF_THE_USER):
        return None
    return _built()


def watch(client: Any) -> None:
    """Have `client`, made with `bundle()`, fall back to all roots when a certificate cannot be verified."""
    client.meta.events.register_first("needs-retry", partial(_needs_retry, client.meta.config, set()))


@cache
def _built() -> str | None:
    path = Path(botocore.__file__).with_name(BUNDLE)
    return str(path) if path.is_file() else None


def _needs_retry(
    config: Any, done: set[int], endpoint: Any, caught_exception: BaseException | None, operation: Any, **_: Any
) -> int | None:
    """0: send it again at once. None: not our affair, botocore's own retries decide."""
    if id(endpoint) in done or not _unverified(caught_exception):
        return None
    done.add(id(endpoint))
    if not _all_roots:
        logger.warning(
            "a certificate is not signed by Amazon's roots: from now on all of botocore's are used",
            service=operation.service_model.service_name,
            host=endpoint.host,
            cause=str(caught_exception),
        )
    _use_all_roots()
    few = endpoint.http_session
    endpoint.http_session = URLLib3Session(
        verify=True,
        proxies=get_environ_proxies(endpoint.host),
        timeout=(config.connect_timeout, config.read_timeout),  # type: ignore[arg-type]  # as botocore gives it
        max_pool_connections=config.max_pool_connections,
    )
    few.close()
    return 0


def _use_all_roots() -> None:
    global _all_roots  # noqa: PLW0603 - it holds for the process, whichever client found out
    _all_roots = True


def _unverified(error: BaseException | None) -> bool:
    """The certificate was the reason; urllib3 and botocore each wrap what the TLS library said."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
