"""One GET of a URL whose host the stack allows, and nothing else: no other host, no address inside of AWS.

HEALTH_HOSTS lists the hosts, with commas between them: `shop.example.com` (HTTPS on 443), or with scheme and port
`https://shop.example.com:8443`. HTTP is spoken only to an entry that is written with http://. An entry may say where
the host is asked, `shop.example.com=http://10.0.3.7:8080`: past the public name, at an internal load balancer.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

import urllib3

MAX_BODY = 65_536
MAX_REDIRECTS = 3
TRIES = 2
NEVER = tuple(map(ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32")))
"""Link-local addresses: the metadata of AWS is there. Not even an entry that names one is asked."""
WRAPPED = tuple(map(ip_network, ("64:ff9b::/96", "2002::/16", "2001::/32")))
"""IPv6 addresses that hold an IPv4 address, which may be any."""
PORTS = {"https": 443, "http": 80}

Address = IPv4Address | IPv6Address


class NotAllowed(Exception):
    """The stack, or good sense, forbids to ask it; nothing was sent."""


class NoAnswer(Exception):
    """It was asked and did not answer; the message says what happened."""


class Answer(NamedTuple):
    """What came back. `body` is at most MAX_BODY long; `location`, where it wants to send us: not followed."""

    status: int
    body: bytes
    location: str = ""


class Origin(NamedTuple):
    """Where a URL goes."""

    scheme: str
    host: str
    port: int


def origin_of(url: str) -> Origin | None:
    """None if the text is no URL with a host, or carries a user's name."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return Origin(parts.scheme, parts.hostname.lower(), port or PORTS[parts.scheme])


def allowed() -> Mapping[Origin, Origin]:
    """What HEALTH_HOSTS lists, and where each of them is asked; an entry that is no host allows nothing."""
    entries = (entry.strip().partition("=") for entry in os.environ.get("HEALTH_HOSTS", "").split(","))
    found = ((_entry(host), _entry(there or host)) for host, _, there in entries if host)
    return {host: there for host, there in found if host is not None and there is not None}


def _entry(text: str) -> Origin | None:
    return origin_of(text if "://" in text else f"https://{text}")


def get(url: str, timeout_s: float) -> Answer:
    """The answer, after redirects within the same origin. Raises NotAllowed, NoAnswer (after two tries)."""
    origin = origin_of(url)
    there = allowed().get(origin) if origin else None
    if origin is None or there is None:
        raise NotAllowed(f"{_shown(origin) if origin else url} is not among the stack's HealthHosts")
    address = resolve(there)
    for _ in range(MAX_REDIRECTS + 1):
        answer = _try_twice(there, address, url, timeout_s)
        if not answer.location:
            return answer
        target = urljoin(url, answer.location)
        if origin_of(target) != origin:
            return answer
        url = target
    raise NoAnswer(f"it redirects more than {MAX_REDIRECTS} times")


def resolve(origin: Origin) -> str:
    """The address that is connected to: asked for once, so that a second answer can't be another one."""
    try:
        found = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise NoAnswer(f"the name {origin.host} can't be resolved: {error}") from error
    addresses = sorted({ip_address(str(one[4][0]).split("%")[0]) for one in found}, key=lambda one: one.version)
    literal = _is_literal(origin.host)
    for address in addresses:
        if not _may_be_asked(address, literal):
            raise NotAllowed(f"{origin.host} is {address}, which is no public address")
    return str(addresses[0])


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _may_be_asked(address: Address, literal: bool) -> bool:
    """Public, or named by the stack itself: then it is an address that a person has written down."""
    plain: Address = (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
    if any(plain in network for network in (*NEVER, *WRAPPED) if network.version == plain.version):
        return False
    return literal or (plain.is_global and not plain.is_multicast)


def _try_twice(origin: Origin, address: str, url: str, timeout_s: float) -> Answer:
    why = ""
    for _ in range(TRIES):
        try:
            answer = _request(origin, address, urlsplit(url), timeout_s)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            why = _why(error)
            continue
        if answer.status < 500:
            return answer
        why = ""
    if why:
        raise NoAnswer(why)
    return answer


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return f"{type(reason).__name__}: {reason}"[:300]


def _request(origin: Origin, address: str, parts: SplitResult, timeout_s: float) -> Answer:
    ends = time.monotonic() + timeout_s
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Host": parts.netloc, "User-Agent": "selfheal", "Accept": "*/*"}
    with closing(_pool(origin, address, parts.hostname or origin.host, timeout_s)) as pool:
        answer = pool.request("GET", path, headers=headers, redirect=False, retries=False, preload_content=False)
        body = b""
        for part in answer.stream(8192):
            body += part
            if len(body) >= MAX_BODY or time.monotonic() > ends:
                break
        answer.close()
    return Answer(answer.status, body[:MAX_BODY], _location(answer.status, answer.headers))


def _pool(origin: Origin, address: str, name: str, timeout_s: float) -> urllib3.HTTPConnectionPool:
    """`name`: what the certificate must be for."""
    timeout = urllib3.Timeout(total=timeout_s)
    if origin.scheme == "http":
        return urllib3.HTTPConnectionPool(address, origin.port, timeout=timeout)
    return urllib3.HTTPSConnectionPool(
        address,
        origin.port,
        timeout=timeout,
        cert_reqs="CERT_REQUIRED",
        server_hostname=name,
        assert_hostname=name,
    )


def _location(status: int, headers: Mapping[str, str]) -> str:
    return headers.get("Location", "") if status in (301, 302, 303, 307, 308) else ""


def _shown(origin: Origin) -> str:
    port = "" if origin.port == PORTS[origin.scheme] else f":{origin.port}"
    return f"{origin.scheme}://{origin.host}{port}"
