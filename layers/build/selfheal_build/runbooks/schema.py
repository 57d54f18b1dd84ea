"""The published JSON schema: what editors and other tools know about a runbook, made from the models."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from .models import RunbookPart

# draft-07 is what the YAML language server knows best; nothing newer is used.
DIALECT = "http://json-schema.org/draft-07/schema#"


class _Published(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 (the base class names it)
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        published = super().default_schema(schema)
        # None and "" stand for "not given" inside; written in a file they would be wrong.
        if published.get("default", 0) in (None, "") or published.get("default") in ([], {}):
            published.pop("default", None)
        return published


def published() -> str:
    """The schema as the text of its file."""
    schema = RunbookPart.model_json_schema(by_alias=True, schema_generator=_Published)
    document = {"$schema": DIALECT, "title": "selfheal runbook", **{k: v for k, v in schema.items() if k != "title"}}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
