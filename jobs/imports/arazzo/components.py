"""The reusable objects of an Arazzo document, and parameters and actions in which references are replaced. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.imports.arazzo.expressions import quoted
from jobs.imports.foreign import mapping
from jobs.imports.items import ReadError

_PREFIX = "$components."


class Components:
    """`components` of a document."""

    def __init__(self, written: Any) -> None:
        self._written = mapping({} if written is None else written, "components")

    def listed(self, value: Any, kind: str) -> Iterator[Mapping[str, Any]]:
        """Yield the objects of a list, such as `parameters`. Raises ReadError."""
        if value is None:
            return
        if not isinstance(value, list):
            raise ReadError(f"{kind} should be a list.")
        for item in value:
            written = mapping(item, f"An item of {kind}")
            yield self._referenced(written, kind) if "reference" in written else written

    def inputs(self, schema: Any) -> Mapping[str, Any]:
        """Return the schema of a workflow's inputs; an empty one if it is no object or refers elsewhere."""
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        prefix = "#/components/inputs/"
        if isinstance(reference, str) and reference.startswith(prefix):
            schemas = self._written.get("inputs")
            referenced = schemas.get(reference.removeprefix(prefix)) if isinstance(schemas, Mapping) else None
            return referenced if isinstance(referenced, Mapping) else {}
        return schema

    def _referenced(self, written: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
        reference = written["reference"]
        prefix = f"{_PREFIX}{kind}."
        objects = self._written.get(kind)
        name = reference.removeprefix(prefix) if isinstance(reference, str) and reference.startswith(prefix) else None
        if name is None or not isinstance(objects, Mapping) or name not in objects:
            raise ReadError(f"{quoted(str(reference))} is not in components.{kind}.")
        replaced = mapping(objects[name], f"components.{kind}.{name[:80]}")
        return {**replaced, "value": written["value"]} if "value" in written else replaced


def merged(listed: Iterator[Mapping[str, Any]], *keys: str) -> list[Mapping[str, Any]]:
    """Let later objects of a list replace earlier ones with the same values of `keys`."""
    by_key = {tuple(str(item.get(key)) for key in keys): item for item in listed}
    return list(by_key.values())
