"""Amazon's own roots, cut out of botocore's bundle: the ones that certificates of AWS's endpoints are signed by.

A function opens a connection to each service it asks, and loads every root each time. With these few that is nothing;
where they do not suffice, the functions fall back to the whole bundle (`selfheal.certificates`).
"""

import re
import ssl
from pathlib import Path
from typing import Any

from .errors import MissingRoot

ROOTS = (
    "Amazon Root CA 1",
    "Amazon Root CA 2",
    "Amazon Root CA 3",
    "Amazon Root CA 4",
    "Starfield Services Root Certificate Authority - G2",
)
"""Common names. Amazon Trust Services names these as what clients have to trust: https://www.amazontrust.com/repository"""
ALL, FEW = "cacert.pem", "cacert-amazon.pem"

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", re.DOTALL)


def keep_amazons_roots(packages: Path) -> None:
    """Write `botocore/cacert-amazon.pem` beside botocore's own bundle in the folder ``packages``.

    Raises:
        MissingRoot: botocore's bundle no longer has one of `ROOTS`; names them.
    """
    whole = packages / "botocore" / ALL
    blocks = {name: block for block in _BLOCK.findall(whole.read_text()) if (name := _common_name(block)) in ROOTS}
    if missing := [name for name in ROOTS if name not in blocks]:
        raise MissingRoot(
            f"botocore's {ALL} has no {', '.join(missing)} any more: see at https://www.amazontrust.com/repository "
            "which roots AWS uses now, and put them into ROOTS of selfheal_build/certificates.py"
        )
    whole.with_name(FEW).write_text("".join(f"# {name}\n{blocks[name]}" for name in ROOTS))


def _common_name(block: str) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=block)
    parts: list[Any] = [part for found in context.get_ca_certs() for part in found["subject"]]
    return next((str(value) for part in parts for key, value in part if key == "commonName"), "")
