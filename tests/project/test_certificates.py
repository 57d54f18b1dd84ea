"""Amazon's roots first: cut out of botocore's bundle by the build; all of them where those do not do."""

from __future__ import annotations

import inspect
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore import httpsession
from botocore.exceptions import SSLError
from selfheal import certificates, clients
from selfheal.observability import logger
from selfheal_build.certificates import ALL, FEW, ROOTS, keep_amazons_roots
from selfheal_build.errors import MissingRoot

from tests.bench.cold_start_record import Answer
from tests.bench.cold_start_stub import Stub, certify, stub

WHOLE = Path(botocore.__file__).with_name(ALL)
KEY = {"pk": {"S": "a"}, "sk": {"S": "b"}}


@dataclass(frozen=True)
class Scene:
    """A service behind TLS whose certificate `own` has signed, and somebody else's root."""

    service: Stub
    own: Path
    other: Path

    def trust(self, patch: pytest.MonkeyPatch, few: Path | None, whole: Path) -> None:
        """Use these bundles; None: the layer's is not there."""
        patch.setattr(certificates, "_built", lambda: None if few is None else str(few))
        patch.setattr(httpsession, "where", lambda: str(whole))
        # the unit tests' shortcuts share one TLS context in this process: it would know every root that was ever loaded
        patch.setattr(httpsession, "create_urllib3_context", inspect.unwrap(httpsession.create_urllib3_context))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("authorities")
    certify(folder / "other")
    with stub(folder / "own") as made:
        yield Scene(made, made.authority, folder / "other" / "authority.pem")


@pytest.fixture
def scene(service: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    settings = {
        "AWS_ENDPOINT_URL": service.service.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "NO_PROXY": "*",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(certificates, "_all_roots", False)
    service.service.expect({"DynamoDB_20120810.GetItem": [Answer(200, {}, b"{}")]})
    clients.forget()
    yield service
    clients.forget()


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(logger, "warning", lambda text, **_: told.append(text))
    caplog.set_level(logging.CRITICAL)
    return told


def ask(client: Any) -> None:
    client.get_item(TableName="ledger", Key=KEY)


def test_few_roots_do_where_they_have_signed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    scene.trust(monkeypatch, few=scene.own, whole=scene.other)
    ask(clients.client("dynamodb"))
    assert (scene.service.served, warnings) == (1, [])
    assert certificates.bundle() == str(scene.own)


@pytest.mark.parametrize("once", [False, True])
def test_a_root_that_only_the_whole_bundle_has_is_found_once_and_for_good(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, warnings: list[str], once: bool
) -> None:
    """Also by clients that never repeat a call: nothing was sent."""
    scene.trust(monkeypatch, few=scene.other, whole=scene.own)
    client = clients.client_once("dynamodb") if once else clients.client("dynamodb")
    ask(client)
    ask(client)
    assert scene.service.served == 2
    assert len(warnings) == 1
    clients.forget()
    assert certificates.bundle() is None
    ask(clients.client("dynamodb"))
    assert len(warnings) == 1


def test_a_client_that_was_made_before_finds_it_by_itself(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    scene.trust(monkeypatch, few=scene.other, whole=scene.own)
    first, second = clients.client("dynamodb"), clients.client_once("dynamodb")
    ask(first)
    ask(second)
    assert (scene.service.served, len(warnings)) == (2, 1)


def test_a_certificate_that_nobody_signed_stays_an_error(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    scene.trust(monkeypatch, few=scene.other, whole=scene.other)
    for _ in range(2):
        with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(clients.client_once("dynamodb"))
    assert (scene.service.served, len(warnings)) == (0, 1)


def test_a_bundle_of_the_users_own_is_left_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    scene.trust(monkeypatch, few=scene.other, whole=scene.other)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(scene.own))
    assert certificates.bundle() is None
    ask(clients.client("dynamodb"))
    assert (scene.service.served, warnings) == (1, [])


def test_without_the_layers_bundle_nothing_changes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    """On a laptop: also a certificate that cannot be verified is botocore's affair alone."""
    scene.trust(monkeypatch, few=None, whole=scene.other)
    with pytest.raises(SSLError):
        ask(clients.client_once("dynamodb"))
    assert (scene.service.served, warnings) == (0, [])


def test_the_environment_here_has_no_such_bundle() -> None:
    certificates._built.cache_clear()
    assert certificates._built() is None


def test_the_build_cuts_amazons_roots_out_of_botocores_bundle(tmp_path: Path) -> None:
    packages = packages_with(tmp_path, WHOLE.read_text())
    keep_amazons_roots(packages)
    few = (packages / "botocore" / FEW).read_text()
    assert few.count("BEGIN CERTIFICATE") == len(ROOTS)
    assert all(f"# {name}\n" in few for name in ROOTS)
    assert (packages / "botocore" / ALL).read_text() == WHOLE.read_text()
    assert certificates.BUNDLE == FEW


def test_a_root_that_is_gone_fails_the_build_by_name(tmp_path: Path) -> None:
    blocks = WHOLE.read_text().split("\n# Issuer:")
    kept = "\n# Issuer:".join(block for block in blocks if "CN=Amazon Root CA 3 " not in block)
    with pytest.raises(MissingRoot, match="no Amazon Root CA 3 any more"):
        keep_amazons_roots(packages_with(tmp_path, kept))


def packages_with(folder: Path, bundle: str) -> Path:
    (folder / "botocore").mkdir()
    (folder / "botocore" / ALL).write_text(bundle)
    return folder


def test_openssl_is_here() -> None:
    """The authorities of these tests are made with it."""
    assert shutil.which("openssl")
