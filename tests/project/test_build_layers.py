"""The built layers: what is in them works alone, and what is not in them is not missed."""

import gzip
import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import pytest
from botocore import xform_name
from samcli.yamlhelper import yaml_parse
from selfheal_build import layers, sam
from selfheal_build.artefact import copy_package, measure, refuse_compiled
from selfheal_build.docless import leave_out_docs
from selfheal_build.errors import BuildError, CompiledExtension, OverBudget, UnknownService
from selfheal_build.installer import install_for_lambda
from selfheal_build.operations import BY_BOTOCORE, called, keep_operations, names_in
from selfheal_build.services import keep_services, services_of

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "layers" / "selfheal" / "selfheal" / "clients.py"
SERVICES = services_of(CLIENTS)
METHODS = called(ROOT, SERVICES)
REGIONS = ("us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1")


@pytest.fixture(scope="session")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dependencies")
    layers.build_dependencies(ROOT, out)
    return out / "python"


def alone(packages: Path, program: str) -> Any:
    """What ``program`` prints as JSON when Python has its standard library and ``packages``, nothing else."""
    start = f"import json, sys; sys.path.append({str(packages)!r})\n"
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", start + program],
        env={"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def endpoints_of(session: Any) -> dict[str, str]:
    made = {}
    for service in SERVICES:
        made[service] = ",".join(session.get_available_regions(service))
        for region in REGIONS:
            client = session.client(service, region_name=region)
            made[f"{service} {region}"] = f"{client.meta.endpoint_url} {client.meta.service_model.api_version}"
    return made


def test_each_listed_service_has_a_client_and_the_same_endpoint_as_with_all_of_botocore(dependencies: Path) -> None:
    program = f"""
import boto3
made = {{}}
session = boto3.session.Session()
for service in {SERVICES!r}:
    made[service] = ",".join(session.get_available_regions(service))
    for region in {REGIONS!r}:
        client = session.client(service, region_name=region)
        made[f"{{service}} {{region}}"] = f"{{client.meta.endpoint_url}} {{client.meta.service_model.api_version}}"
print(json.dumps(made))
"""
    whole = boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test")
    assert alone(dependencies, program) == endpoints_of(whole)


def test_each_kept_operation_can_be_called(dependencies: Path) -> None:
    """A call reads more of a model than a client does: every request is built and signed; none leaves the process."""
    program = f"""
import botocore.session
from botocore import xform_name
class Sent(Exception):
    pass
def send(**_):
    raise Sent
def value(shape, depth=0):
    kind = shape.type_name
    if kind == "structure":
        return {{name: value(shape.members[name], depth + 1) for name in shape.required_members}}
    if kind == "list":
        return [value(shape.member, depth + 1)] if depth < 5 else []
    if kind == "map":
        return {{}}
    if shape.name in ("Arn", "ARN") or kind == "string":
        return getattr(shape, "enum", None) and shape.enum[0] or "x" * 36
    return {{"integer": 1, "long": 1, "float": 1.0, "double": 1.0, "boolean": True, "blob": b"x", "timestamp": 0}}[kind]
session = botocore.session.get_session()
called = []
for service in {SERVICES!r}:
    client = session.create_client(service, region_name="us-east-1")
    client.meta.events.register("before-send", send)
    model = client.meta.service_model
    for name in sorted(model.operation_names):
        shape = model.operation_model(name).input_shape
        try:
            getattr(client, xform_name(name))(**(value(shape) if shape else {{}}))
        except Sent:
            called.append(f"{{service}}.{{name}}")
print(json.dumps(called))
"""
    loader = botocore.loaders.Loader()
    wanted = {
        f"{service}.{name}"
        for service in SERVICES
        for name, operation in loader.load_service_model(service, "service-2")["operations"].items()
        if xform_name(name) in METHODS or name in BY_BOTOCORE.get(service, ()) or operation.get("endpointoperation")
    }
    assert {name.partition(".")[0] for name in wanted} == set(SERVICES)
    assert set(alone(dependencies, program)) == wanted


def test_a_service_that_is_not_listed_has_none(dependencies: Path) -> None:
    program = """
import boto3, botocore.exceptions
try:
    boto3.client("glacier", region_name="us-east-1")
except botocore.exceptions.UnknownServiceError as error:
    print(json.dumps(str(error)))
"""
    assert "Unknown service: 'glacier'" in alone(dependencies, program)


@pytest.mark.parametrize("service", SERVICES)
def test_a_model_lost_its_documentation_and_what_is_not_called(dependencies: Path, service: str) -> None:
    slim = botocore.loaders.Loader(extra_search_paths=[str(dependencies / "botocore" / "data")])
    slim.search_paths[:] = [str(dependencies / "botocore" / "data")]
    whole = botocore.loaders.Loader()
    for kind in ("service-2", "endpoint-rule-set-1"):
        kept = slim.load_service_model(service, kind)
        full = whole.load_service_model(service, kind)
        if kind == "service-2":
            full = keep_operations(service, full, METHODS)
            assert full["operations"]
        assert list(differences(full, kept)) == []
        kept.pop("clientContextParams", None)  # botocore reads their documentation
        assert '"documentation": "' not in json.dumps(kept)


def test_a_client_reads_no_code_that_writes_documentation(dependencies: Path) -> None:
    """Its methods have empty texts, its waiters and paginators as well."""
    seen = alone(
        dependencies,
        """
import sys
import botocore.session
session = botocore.session.Session()
client = session.create_client("lambda", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
texts = [client.get_alias.__doc__, client.get_paginator("list_functions").paginate.__doc__]
print(json.dumps([[str(text) for text in texts], sorted(name for name in sys.modules if "botocore.docs" in name)]))
""",
    )
    assert seen == [["", ""], ["botocore.docs", "botocore.docs.docstring", "botocore.docs.utils"]]


def test_a_botocore_whose_documentation_is_other_fails_the_build(tmp_path: Path) -> None:
    docs = tmp_path / "botocore" / "docs"
    docs.mkdir(parents=True)
    (docs / "docstring.py").write_text("class Another(LazyLoadedDocstring):\n    pass\n")
    (docs / "__init__.py").write_text("DEPRECATED_SERVICE_NAMES = set()\n")

    with pytest.raises(BuildError, match="Another"):
        leave_out_docs(tmp_path)


def test_a_member_that_is_called_documentation_stays(tmp_path: Path) -> None:
    version = tmp_path / "botocore" / "data" / "parts" / "2020-01-01"
    version.mkdir(parents=True)
    (tmp_path / "boto3" / "data").mkdir(parents=True)
    (tmp_path / "botocore" / "data" / "endpoints.json").write_text('{"partitions": []}')
    members = {"documentation": {"shape": "String", "documentation": "what it says"}}
    model = {"documentation": "of it all", "shapes": {"Part": {"members": members}}}
    (version / "service-2.json.gz").write_bytes(gzip.compress(json.dumps(model).encode()))
    keep_services(tmp_path, ["parts"], frozenset())
    slim = json.loads((version / "service-2.json").read_text())
    assert slim == {"shapes": {"Part": {"members": {"documentation": {"shape": "String"}}}}}


def test_an_operation_stays_with_the_shapes_that_it_needs_and_every_error(tmp_path: Path) -> None:
    module = tmp_path / "app.py"
    module.write_text('client("parts").get_part(Id="1")\npages = client("parts").get_paginator("list_parts")\n')
    operation = {"input": {"shape": "Asked"}, "output": {"shape": "Told"}, "errors": [{"shape": "Gone"}]}
    model: dict[str, Any] = {
        "metadata": {"serviceId": "Parts"},
        "operations": {
            "GetPart": operation, "ListParts": {"output": {"shape": "Pages"}}, "PutPart": {"input": {"shape": "Put"}},
            "DescribeEndpoints": {"endpointoperation": True},
        },
        "shapes": {
            "Asked": {"type": "structure", "members": {"Id": {"shape": "Id"}}}, "Id": {"type": "string"},
            "Told": {"type": "structure", "members": {"Tags": {"shape": "Tags"}}},
            "Tags": {"type": "map", "key": {"shape": "Id"}, "value": {"shape": "Value"}}, "Value": {"type": "string"},
            "Pages": {"type": "list", "member": {"shape": "Told"}}, "Put": {"type": "structure", "members": {}},
            "Gone": {"type": "structure", "exception": True}, "Busy": {"type": "structure", "exception": True},
        },
    }  # fmt: skip
    kept = keep_operations("parts", model, names_in([module]))
    assert set(kept["operations"]) == {"GetPart", "ListParts", "DescribeEndpoints"}
    assert set(kept["shapes"]) == set(model["shapes"]) - {"Put"}
    assert kept["metadata"] == model["metadata"]


def test_another_call_in_a_source_is_another_layer(tmp_path: Path) -> None:
    root = small_root(tmp_path / "root")
    (root / CLIENTS.relative_to(ROOT)).write_text('SERVICES = ("sns",)\nclient.publish\n')
    kept = []
    for name, call in {"first": "", "second": "client.subscribe"}.items():
        folder = root / "functions" / "notify"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "app.py").write_text(call)
        layers.build_dependencies(root, tmp_path / name)
        model = next((tmp_path / name / "python/botocore/data/sns").glob("*/service-2.json"))
        kept.append(set(json.loads(model.read_text())["operations"]))
    assert kept == [{"Publish"}, {"Publish", "Subscribe"}]


def test_a_layer_over_its_budget_fails_the_build_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("RunbooksLayer", "SelfhealLayer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").write_bytes(bytes(range(256)) * 8)
    monkeypatch.setattr(sam, "BUDGETS_KB", {"RunbooksLayer": 1, "SelfhealLayer": 0})
    with pytest.raises(OverBudget, match=r"too large: SelfhealLayer \(0 of 0 kB\)"):
        sam.report(tmp_path, 1.0)
    assert "RunbooksLayer: 0 of 1 kB zipped" in capsys.readouterr().out


def test_every_layer_of_the_template_has_a_budget() -> None:
    template = yaml_parse((ROOT / "template.yaml").read_text())
    kind = "AWS::Serverless::LayerVersion"
    assert set(sam.BUDGETS_KB) == {name for name, one in template["Resources"].items() if one["Type"] == kind}


def differences(full: Any, kept: Any, where: str = "") -> Any:
    if isinstance(full, dict) and isinstance(kept, dict):
        for key in full.keys() | kept.keys():
            if key not in kept and not (key == "documentation" and isinstance(full[key], str)):
                yield f"{where}/{key} is gone"
            elif key in kept:
                yield from differences(full.get(key), kept[key], f"{where}/{key}")
    elif isinstance(full, list) and isinstance(kept, list) and len(full) == len(kept):
        for index, (left, right) in enumerate(zip(full, kept, strict=True)):
            yield from differences(left, right, f"{where}[{index}]")
    elif full != kept:
        yield f"{where} was changed"


def test_powertools_works_from_the_layer(dependencies: Path) -> None:
    program = """
import os
os.environ.update(POWERTOOLS_SERVICE_NAME="probe", POWERTOOLS_METRICS_NAMESPACE="probe")
from aws_lambda_powertools import Logger, Metrics
Logger(), Metrics()
import aws_lambda_powertools
print(json.dumps(aws_lambda_powertools.__file__))
"""
    assert alone(dependencies, program).startswith(str(dependencies))


def test_every_package_keeps_its_version_and_its_licence(dependencies: Path) -> None:
    packages = list(importlib.metadata.distributions(path=[str(dependencies)]))
    assert {"boto3", "botocore", "aws_lambda_powertools"} <= {package.name for package in packages}
    for package in packages:
        assert package.version == importlib.metadata.version(package.name)
        folder = next(dependencies.glob(f"{package.name.replace('-', '_')}-*.dist-info"))
        licences = [path.name for path in folder.rglob("*") if path.name.upper().startswith(("LICEN", "COPYING"))]
        assert licences, f"{package.name} is shipped without its licence"


def test_the_shared_package_is_built_without_litter(tmp_path: Path) -> None:
    layers.build_selfheal(ROOT, tmp_path / "out")
    built = tmp_path / "out" / "python" / "selfheal"
    sources = {path.relative_to(built).as_posix() for path in built.rglob("*.py")}
    package = ROOT / "layers" / "selfheal" / "selfheal"
    assert sources == {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    assert (built / "py.typed").is_file()
    assert {path.suffix for path in built.rglob("__pycache__/*")} <= {".pyc"}


def test_caches_and_hidden_files_are_not_copied(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "__pycache__").mkdir(parents=True)
    (source / "deep").mkdir()
    for name in ("__pycache__/a.cpython-39.pyc", "a.py", "deep/b.json", ".DS_Store", "deep/.b.json.swp", "old.pyc"):
        (source / name).touch()
    copy_package(source, tmp_path / "copy")
    copied = {path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*")}
    assert copied == {"a.py", "deep", "deep/b.json"}


@pytest.mark.parametrize("name", ["fast.so", "fast.cpython-313-aarch64-linux-gnu.so", "fast.pyd", "libfast.so.1"])
def test_machine_code_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "python" / "package").mkdir(parents=True)
    (tmp_path / "python" / "package" / "slow.py").touch()
    refuse_compiled(tmp_path)
    (tmp_path / "python" / "package" / name).touch()
    with pytest.raises(CompiledExtension, match=f"python/package/{name}"):
        refuse_compiled(tmp_path)


def test_what_is_installed_to_be_trimmed_is_no_link_into_a_cache(tmp_path: Path) -> None:
    install_for_lambda(tmp_path / "python", ROOT / "layers" / "dependencies" / "requirements.txt")
    installed = [path for path in (tmp_path / "python").rglob("*.json") if path.is_file()]
    assert installed
    assert {path.stat().st_nlink for path in installed} == {1}
    assert not any(path.is_symlink() for path in installed)


def small_root(folder: Path) -> Path:
    """As much of the project as the dependencies layer is built from, with an empty cache."""
    for path in (CLIENTS, ROOT / "layers" / "dependencies" / "requirements.txt"):
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return folder


def test_a_compiled_dependency_fails_the_build_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(target: Path, requirements: Path) -> None:
        assert requirements.is_file()
        target.mkdir(parents=True)
        (target / "_speedups.so").touch()

    monkeypatch.setattr(layers, "install_for_lambda", install)
    root = small_root(tmp_path / "root")
    with pytest.raises(CompiledExtension, match="_speedups"):
        layers.build_dependencies(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert list((root / ".local" / "cache" / "dependencies").iterdir()) == []


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    built = []
    for name in ("one", "two"):
        out = tmp_path / f"layer of {name}"
        layers.build_dependencies(small_root(tmp_path / name), out)
        built.append(measure(out))
    assert built[0] == built[1]
    assert built[0].files > 300


def test_another_list_of_services_is_another_layer(tmp_path: Path, dependencies: Path) -> None:
    root = small_root(tmp_path / "root")
    layers.build_dependencies(root, tmp_path / "first")
    (root / CLIENTS.relative_to(ROOT)).write_text('SERVICES = ("sts",)\n')
    layers.build_dependencies(root, tmp_path / "second")
    assert {path.name for path in (tmp_path / "second/python/botocore/data").iterdir() if path.is_dir()} == {"sts"}
    assert {path.name for path in (dependencies / "botocore/data").iterdir() if path.is_dir()} == set(SERVICES)


def test_a_service_that_botocore_does_not_know_fails_the_build(dependencies: Path) -> None:
    with pytest.raises(UnknownService, match="lamda"):
        keep_services(dependencies, [*SERVICES, "lamda"], METHODS)


@pytest.mark.parametrize("text", ["", "SERVICES = ()", "SERVICES = tuple(x)", "SERVICES = ('s3', NAME)"])
def test_services_that_cannot_be_read_fail_the_build(tmp_path: Path, text: str) -> None:
    module = tmp_path / "clients.py"
    module.write_text(text)
    with pytest.raises(BuildError, match="SERVICES"):
        services_of(module)


def test_services_are_read_with_an_annotation_too(tmp_path: Path) -> None:
    module = tmp_path / "clients.py"
    module.write_text("import nowhere\nSERVICES: tuple[str, ...] = ('s3', 'sqs')\n")
    assert services_of(module) == ("s3", "sqs")
