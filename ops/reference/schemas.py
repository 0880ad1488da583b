"""What a schema of the OpenAPI document says of a value, in words and in rows of a table. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]
_PREFIX = "#/components/schemas/"
_FORMATS = {"date-time": "time", "uuid": "UUID"}
_TYPES = {"object": "object", "array": "list", "string": "text", "integer": "integer", "number": "number"}
#: drf-spectacular appends the values of a choice to its help text; the type names them already.
_CHOICES = re.compile(r"(^|\n\n)\* `.*", re.DOTALL)


@dataclass(frozen=True)
class Row:
    """A field of an object, by its dotted path; `[]` stands for each item of a list, `*` for each name."""

    path: str
    kind: str
    meaning: str
    required: bool
    default: str | None


def name_of(schema: Schema) -> str | None:
    """The component that a schema refers to, be it nullable or described besides."""
    for only in (schema, *(schema.get("allOf") or [])[:1]):
        if "$ref" in only:
            return str(only["$ref"]).removeprefix(_PREFIX)
    return None


def referring_to(name: str) -> Schema:
    return {"$ref": f"{_PREFIX}{name}"}


@dataclass(frozen=True)
class Components:
    """The document's schemas by name. What is in `homes` has a table of its own, at that link."""

    schemas: Mapping[str, Schema]
    homes: Mapping[str, str]

    def resolved(self, schema: Schema) -> Schema:
        name = name_of(schema)
        return self.schemas[name] if name else schema

    def rows(self, schema: Schema, path: str = "", *, partial: bool = False) -> Iterator[Row]:
        """The fields of an object, those of objects within it after the field that holds them.

        Of a partial one, what is left out stays as it is: it has no defaults.
        """
        found = self.resolved(schema)
        partial = partial or (name_of(schema) or "").startswith("Patched")
        for name, field in self._properties(found).items():
            yield from self._field(f"{path}{name}", field, required=name in self._required(found), partial=partial)

    def kind(self, schema: Schema) -> str:
        """A type in words: `integer (1 to 100), or null`."""
        return self._kind(schema) + (", or null" if self._nullable(schema) else "")

    def _field(self, path: str, schema: Schema, *, required: bool, partial: bool) -> Iterator[Row]:
        inner, mark = self._within(schema)
        default = None if partial else schema.get("default", self.resolved(schema).get("default"))
        yield Row(
            path=path,
            kind=self.kind(schema),
            meaning=described(schema),
            required=required,
            default=None if default is None or default == "" else json.dumps(default),
        )
        if name_of(inner) not in self.homes and self._is_object(self.resolved(inner)):
            yield from self.rows(inner, f"{path}{mark}.", partial=partial)

    def _is_object(self, found: Schema) -> bool:
        kinds = [self.resolved(kind) for kind in found.get("oneOf", ())]
        return "properties" in found or (bool(kinds) and all("properties" in kind for kind in kinds))

    def _within(self, schema: Schema) -> tuple[Schema, str]:
        """What stands in a field, if it may be an object: itself, each item of a list, each value under any name."""
        found = self.resolved(schema)
        if found.get("type") == "array":
            return found["items"], "[]"
        if found.get("additionalProperties"):
            return found["additionalProperties"], ".*"
        return schema, ""

    def _properties(self, schema: Schema) -> Mapping[str, Schema]:
        """An object's fields; of one that may be of several kinds, the fields of all of them."""
        if "properties" in schema:
            return dict(schema["properties"])
        found: dict[str, list[Schema]] = {}
        for kind in schema["oneOf"]:
            for name, field in self.resolved(kind)["properties"].items():
                found.setdefault(name, []).append(field)
        return {name: fields[0] if len(fields) == 1 else _one_of(fields) for name, fields in found.items()}

    def _required(self, schema: Schema) -> frozenset[str]:
        kinds = [schema] if "properties" in schema else [self.resolved(kind) for kind in schema["oneOf"]]
        return frozenset.intersection(*(frozenset(kind.get("required", ())) for kind in kinds))

    def _nullable(self, schema: Schema) -> bool:
        return bool(schema.get("nullable") or self.resolved(schema).get("nullable"))

    def _kind(self, schema: Schema) -> str:
        name = name_of(schema)
        if name is not None and name in self.homes:
            return f"[{title(name)}]({self.homes[name]})"
        found = self.resolved(schema)
        if "enum" in found:
            return ", ".join(f"`{value}`" for value in found["enum"])
        if found.get("oneOf"):
            kinds = [one for one in found["oneOf"] if name_of(one) != "NullEnum"]
            if self._is_object({"oneOf": kinds}):
                return "object"
            return _joined(self._kind(one) for one in kinds)
        if found.get("type") == "array":
            return f"list{_limits(found, 'Items')} of {self._item(found['items'])}"
        return self._plain(found)

    def _item(self, schema: Schema) -> str:
        return "any JSON" if not schema else self._kind(schema)

    def _plain(self, found: Schema) -> str:
        if "type" not in found:
            return "any JSON"
        if found["type"] == "boolean":
            return "`true`, `false`"
        if found["type"] == "object" and len(found.get("properties", ())) == 1:
            return f"object with `{next(iter(found['properties']))}`"
        kind = _FORMATS.get(found.get("format", ""), _TYPES[found["type"]])
        return kind + (_limits(found, "Length") if found["type"] == "string" else _limits(found, "imum"))


def title(name: str) -> str:
    """`BulkOperation` as a heading: `Bulk operation`."""
    return re.sub(r"(?<=[a-z])[A-Z]", lambda found: f" {found[0].lower()}", name)


def described(schema: Schema) -> str:
    """What is said of a value, on one line, without the choices that its type names."""
    return " ".join(_CHOICES.sub("", schema.get("description", "")).split())


def _one_of(fields: list[Schema]) -> Schema:
    """A field that is another in each kind of an object: with what is said of it in any of them."""
    return {"oneOf": fields, "description": " ".join(dict.fromkeys(map(described, fields)))}


def _limits(found: Schema, of: str) -> str:
    """` (1 to 100)`, ` (at most 100)`. Of texts and lists, how long they are; a least of 1 goes without saying."""
    least, most = found.get(f"min{of}"), found.get(f"max{of}")
    least = None if of != "imum" and least in {0, 1} else least
    if least is not None and most is not None:
        return f" ({least:,} to {most:,})" if least != most else f" of {least:,}"
    if most is not None:
        return f" (at most {most:,})"
    return f" (at least {least:,})" if least else ""


def _joined(kinds: Iterator[str]) -> str:
    """Each kind once; choices of several lists as one."""
    found = list(dict.fromkeys(kinds))
    separator = ", " if all(kind.startswith("`") for kind in found) else " or "
    return separator.join(found)
