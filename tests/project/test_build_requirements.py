"""Pins: complete, hashed, the same for the layer and the laptop; and no file knows a registry or a machine."""

import re
import subprocess
from pathlib import Path

import pytest
from selfheal_build.errors import InstallFailed
from selfheal_build.installer import pinned

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "layers" / "dependencies" / "requirements.txt"
DEV = ROOT / "requirements" / "dev.txt"
PINNED = [LAYER, *sorted((ROOT / "requirements").glob("*.txt"))]
NAME = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?", re.MULTILINE)

# Put together here, so that this file does not hold what it looks for.
REGISTRY = re.compile(
    "|".join([r"pypi\.(?:org|python)", "pythonhosted" + r"\.org", r":/" + r"/\S+/simple\b", "registry" + r"\.npm"])
    + r"|^ *--(?:extra-)?index-url|^ *--find-links",
    re.MULTILINE,
)
MACHINE = re.compile(r"(?<![\w.$}])/(?:root|work|home|Users)/\w")


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", path.read_text(), re.MULTILINE))


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_the_layer_has_the_versions_that_the_tests_ran_with() -> None:
    layer, dev = pins(LAYER), pins(DEV)
    assert {"aws-lambda-powertools", "boto3", "botocore"} <= layer.keys()
    assert layer == {name: dev.get(name) for name in layer}


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_requirement_is_pinned_with_hashes_and_nothing_else(path: Path) -> None:
    blocks = re.findall(r"^(?![ #]).+(?:\n +.+)*", path.read_text(), re.MULTILINE)
    assert blocks
    for block in blocks:
        assert re.fullmatch(
            r"[A-Za-z0-9._-]+==[^\s;\\]+(?: ; [^\\]+)? \\\n(?: +--hash=sha256:[0-9a-f]{64}(?: \\\n)?)+", block
        ), block


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_everything_that_is_asked_for_is_pinned(path: Path) -> None:
    asked = set()
    for line in path.with_suffix(".in").read_text().splitlines():
        if (name := NAME.match(line.partition("#")[0])) is not None:
            asked.add(re.sub(r"[._-]+", "-", name.group(1)).lower())
    assert asked
    assert asked <= pins(path).keys()


def test_no_tracked_file_names_a_registry() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {hit.group()}" for path in tracked() if (hit := REGISTRY.search(text_of(path)))
    ]
    assert found == []


def test_no_tracked_file_names_a_place_on_a_machine() -> None:
    found = [f"{path.relative_to(ROOT)}: {hit.group()}" for path in tracked() if (hit := MACHINE.search(text_of(path)))]
    assert found == []


@pytest.mark.parametrize(
    "text", ["https://pypi" + ".org/x", "https:" + "//host/simple/", "x\n--extra-index" + "-url a"]
)
def test_a_registry_would_be_found(text: str) -> None:
    assert REGISTRY.search(text)


@pytest.mark.parametrize("text", ["/ro" + "ot/x", 'at "/wo' + 'rk/main"', "(/ho" + "me/someone)"])
def test_a_place_would_be_found(text: str) -> None:
    assert MACHINE.search(text)


@pytest.mark.parametrize("text", ["./work/x", "https://host/home/x", "$HOME/work/x", "/opt/python"])
def test_what_is_no_place_is_not_found(text: str) -> None:
    assert MACHINE.search(text) is None


def text_of(path: Path) -> str:
    return path.read_text(errors="replace")


def test_one_requirement_is_taken_out_with_its_hashes() -> None:
    block = pinned(DEV, "uv")
    assert re.fullmatch(r"uv==\S+ \\\n(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", block)
    with pytest.raises(InstallFailed, match="make lock"):
        pinned(DEV, "no-such-package")
