"""Shortcuts past what botocore and moto do anew for every test and every call, though it comes out the same each time.

What AWS answers stays moto's own: expressions, conditions, errors. Only the way there and back is shorter. Without this
the unit tests take four times as long. Those of DynamoDB, where most calls go, are in shortcuts_of_dynamodb.
"""

from __future__ import annotations

import gc
import re
from functools import cache, lru_cache
from typing import Any

import botocore.session
import moto.core.models
import moto.core.responses
from botocore import client, endpoint_provider, httpsession, regions, useragent
from botocore.hooks import EventAliaser, HierarchicalEmitter
from botocore.loaders import create_loader
from botocore.signers import RequestSigner
from moto import backend_index, backends
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.exceptions import HTTPException
from moto.core.request import normalize_request
from moto.core.utils import get_equivalent_url_in_aws_domain

from tests.unit import shortcuts_of_dynamodb

_SIGN = RequestSigner.handler
_FIND_AND_ANSWER = BotocoreStubber.process_request


def take() -> None:
    """Once for each process, before the first client is made."""
    _read_descriptions_once()
    _make_parts_of_clients_once()
    _build_urls_once()
    _remember_what_depends_on_text_only()
    _go_straight_to_moto()
    moto.core.models.RESPONSES_METHODS = []  # nothing here calls AWS through `requests`
    shortcuts_of_dynamodb.take()
    _look_for_garbage_seldom()


def _look_for_garbage_seldom() -> None:
    """Python need not look through modules again and again, nor as often as where memory is short. What a test leaves
    behind is found as before, only later."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _read_descriptions_once() -> None:
    """Every session reads AWS's descriptions of its services from disk: all of them share one reader."""
    loader = create_loader()
    botocore.session.create_loader = lambda search_path_string=None: loader


def _make_parts_of_clients_once() -> None:
    """A client's class, its service's model, the rules of its endpoints and the settings of TLS are the same for each
    client of a service. Its events, settings and connections stay its own."""
    maker: Any = client.ClientCreator
    load, make = maker._load_service_model, maker._create_client_class
    models: dict[Any, Any] = {}
    classes: dict[str, Any] = {}
    endpoints: dict[int, Any] = {}
    provider = endpoint_provider.EndpointProvider

    def model_of(creator: Any, service_name: str, api_version: str | None = None) -> Any:
        key = service_name, api_version
        return models[key] if key in models else models.setdefault(key, load(creator, *key))

    def class_of(creator: Any, service_name: str, service_model: Any) -> Any:
        if service_name not in classes:
            classes[service_name] = make(creator, service_name, service_model)
        return classes[service_name]

    def rules_of(ruleset_data: Any, **more: Any) -> Any:  # the reader gives out the same object each time
        key = id(ruleset_data)
        return endpoints[key] if key in endpoints else endpoints.setdefault(key, provider(ruleset_data, **more))

    maker._load_service_model, maker._create_client_class = model_of, class_of
    vars(regions)["EndpointProvider"] = rules_of
    httpsession.create_urllib3_context = cache(httpsession.create_urllib3_context)


def _build_urls_once() -> None:
    """moto builds the table of a backend's URLs for each request."""
    build = BaseBackend.urls.fget
    built: dict[type, Any] = {}

    def urls(backend: Any) -> Any:
        kind = type(backend)
        if kind not in built:
            built[kind] = build(backend)
        return built[kind]

    BaseBackend.urls = property(urls)


def _remember_what_depends_on_text_only() -> None:
    """Names of methods, names of events, the user agent."""
    moto.core.responses.method_names_from_class = cache(moto.core.responses.method_names_from_class)
    moto.core.responses.camelcase_to_underscores = cache(moto.core.responses.camelcase_to_underscores)
    aliaser: Any = EventAliaser
    alias = cache(aliaser(HierarchicalEmitter())._alias_event_name)
    aliaser._alias_event_name = lambda emitter, name: alias(name)
    useragent.sanitize_user_agent_string_component = cache(useragent.sanitize_user_agent_string_component)
    agent: Any = useragent.UserAgentString
    agent.rebuild_and_replace_user_agent_handler = lambda *_, **__: None  # adds the features in use
    agent.to_string = lru_cache(256)(agent.to_string)


def _go_straight_to_moto() -> None:
    signer: Any = RequestSigner
    signer.handler = _name_the_caller
    stubber: Any = BotocoreStubber
    stubber.process_request = _answer


def _name_the_caller(signer: Any, operation_name: str, request: Any, **more: Any) -> None:
    """What moto reads of a signature; it verifies none. S3's signer also says how the body is encoded."""
    if signer.signing_name == "s3":
        _SIGN(signer, operation_name, request, **more)
        return
    scope = f"testing/20260101/{signer.region_name}/{signer.signing_name}/aws4_request"
    request.headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, Signature=none"


def _answer(stubber: Any, request: Any) -> Any:
    """moto looks through the addresses of all services for each request."""
    url, _ = get_equivalent_url_in_aws_domain(request.url)
    answering = _answers_to(f"{url.scheme}://{url.netloc}{url.path}")
    if answering is None:
        return _FIND_AND_ANSWER(stubber, request)
    normalized = normalize_request(request)
    try:
        return answering(normalized, normalized.raw_url, normalized.headers)
    except HTTPException as error:
        return error.code, error.get_headers(), error.get_body()


@lru_cache(10_000)
def _answers_to(url: str) -> Any:
    """Who answers to an address, as moto finds it; None if it has to say itself what is wrong with the address."""
    service = next((name for name, pattern in backend_index.backend_url_patterns if pattern.match(url)), None)
    known = service and backends.get_backend(service)
    if not isinstance(known, BackendDict):
        return None
    here = known[DEFAULT_ACCOUNT_ID]
    backend = here["us-east-1" if "us-east-1" in here else "aws"]
    return next((method for pattern, method in backend.urls.items() if re.match(pattern, url)), None)
