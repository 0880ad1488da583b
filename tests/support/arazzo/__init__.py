"""Arazzo documents for tests, and the published schemas that they must satisfy."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from openapi_spec_validator import OpenAPIV31SpecValidator

from jobs.imports import FORMATS, Item, Options

BASE = "https://shop.test/v1"
OPENAPI: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Shop", "version": "1"},
    "servers": [{"url": BASE}],
    "paths": {
        "/orders": {
            "post": {"operationId": "createOrder", "requestBody": {"$ref": "#/components/requestBodies/Order"}}
        },
        "/orders/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True}],
            "get": {
                "operationId": "getOrder",
                "parameters": [{"name": "view", "in": "query", "required": True}],
                "responses": {"200": {"content": {"application/json": {}}}},
            },
            "delete": {"responses": {}},
            "trace": {"operationId": "traceOrder"},
        },
        "/text": {"get": {"operationId": "getText", "responses": {"200": {"content": {"text/plain": {}}}}}},
    },
    "components": {"requestBodies": {"Order": {"content": {"application/json": {}}}}},
}


def document(*steps: dict[str, Any], **workflow: Any) -> dict[str, Any]:
    """Return a document of one workflow; `components` are those of the document."""
    components = workflow.pop("components", None)
    return {
        "arazzo": "1.0.1",
        "info": {"title": "Orders", "version": "1"},
        "sourceDescriptions": [{"name": "shop", "url": "./shop.yaml", "type": "openapi"}],
        "workflows": [{"workflowId": "order", "steps": list(steps), **workflow}],
        **({"components": components} if components else {}),
    }


def read(arazzo: Any, *, sources: Any = None, base_url: str | None = None) -> list[Item]:
    """Read a document together with its sources, by default the shop's."""
    content = {"arazzo": arazzo, "sources": {"shop": OPENAPI} if sources is None else sources}
    return FORMATS["arazzo"].read(content, Options(base_url=base_url))


@cache
def _schema() -> Any:
    text = (Path(__file__).parent / "schema-2025-10-15.json").read_text()
    return jsonschema.Draft202012Validator(json.loads(text))


def refuse_invalid(arazzo: dict[str, Any]) -> None:
    """Hold a document against the published schema, and the documents inside against OpenAPI's."""
    _schema().validate(arazzo)
    for source in arazzo["sourceDescriptions"]:
        OpenAPIV31SpecValidator(source["x-hourhand-document"]).validate()
