"""Template variables in a job's request: `{{name}}` in its URL, header values and body. Pure.

One pass of one regular expression finds them when a version is read; rendering joins the pieces. No engine sees users'
text, what was rendered is never rendered again, and each value is escaped for the place where it stands.
"""

import datetime
import enum
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import quote

from accounts.names import SECRET_NAME_PATTERN
from core import exact_json
from jobs.definition.contract import ClientCert, RequestDefinition
from jobs.definition.headers import MAX_HEADER_BYTES, NOT_IN_A_VALUE
from jobs.egress.target import MAX_URL_LENGTH

MAX_BODY_BYTES = 1024 * 1024
OPENING = "{{"
#: What stands between braces for the braces themselves. No quote or backslash of JSON, so it is the same in any text.
_BRACES = "'{{'"
#: As they are told to whoever misspelled one.
VARIABLES = (
    "timestamp", "unix", "uuid", "execution_id", "scheduled_for", "job", "environment", "input.PATH", "secrets.NAME",
)  # fmt: skip

_PLACE = re.compile(rf"\{{\{{(\s*{re.escape(_BRACES)}\s*|[^{{}}]*)\}}\}}")
_VARIABLE = re.compile(
    r"timestamp|unix|uuid|execution_id|scheduled_for|job|environment|input(?:\.[A-Za-z0-9_-]{1,100})*"
    rf"|secrets\.{SECRET_NAME_PATTERN}"
)
_DEFAULTED = re.compile(r"(?P<name>[^|]*)\|\s*default\s*\((?P<value>.*)\)\s*", re.DOTALL)
_SINGLE_QUOTED = re.compile(r"'[^']*'")
_JSON_QUOTE = re.compile(r'\\.|"', re.DOTALL)
_ORIGIN = re.compile(r"[^:/?#]*://[^/?#]*[/?#]")
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?=[/?#]|$)", re.IGNORECASE)
_SECRETS = "secrets."
_HOW_TO_SAY_BRACES = "{{'{{'}} stands for {{ itself."
_DEFAULT_EXAMPLE = '{{input.a|default("x")}}'
_UUID_NAMESPACE = uuid.UUID("6f1d7a0e-5a0b-5c38-9d0c-8a4f4f1c2b7e")
#: What a variable stands for that has no value.
MISSING: Any = object()


class TemplateError(ValueError):
    """The template can't be saved; the text says why. `code` is stable."""

    def __init__(self, text: str, code: str = "invalid_template") -> None:
        super().__init__(text)
        self.code = code


class RenderingError(ValueError):
    """This execution's values make no request of the template; the text says why, and tells no value."""


class Where(enum.Enum):
    """Where a template stands, which is what its values are escaped for."""

    URL = "url"
    HEADER = "header"
    JSON_BODY = "json_body"
    FORM_BODY = "form_body"
    TEXT_BODY = "text_body"

    @property
    def limit(self) -> int:
        """How many characters a rendered text may have."""
        return {Where.URL: MAX_URL_LENGTH, Where.HEADER: MAX_HEADER_BYTES}.get(self, MAX_BODY_BYTES)


@dataclass(frozen=True, slots=True)
class Facts:
    """What one execution says of itself: the same for all its attempts. `secrets` holds those that it may use."""

    execution_id: str
    created_at: datetime.datetime
    scheduled_for: datetime.datetime | None
    job: str
    environment: str
    input: Any = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)

    def value(self, variable: str) -> Any:
        """What a variable stands for; `MISSING` where there is nothing."""
        if variable == _BRACES:
            return OPENING
        match variable:
            case "timestamp":
                return _instant(self.created_at)
            case "unix":
                return int(self.created_at.timestamp())
            case "uuid":
                return str(uuid.uuid5(_UUID_NAMESPACE, self.execution_id))
            case "scheduled_for":
                return MISSING if self.scheduled_for is None else _instant(self.scheduled_for)
            case "execution_id" | "job" | "environment":
                return getattr(self, variable)
        if variable.startswith(_SECRETS):
            return self.secrets.get(variable.removeprefix(_SECRETS), MISSING)
        return MISSING if self.input is None else _inside(self.input, variable.split(".")[1:])


@dataclass(frozen=True, slots=True)
class TemplateVariable:
    """One variable in a template. `quoted`: inside a string of a JSON body. `default` stands in for a missing value."""

    variable: str
    quoted: bool
    default: Any = MISSING

    def rendered(self, facts: Facts, where: Where) -> str:
        """Its text. Raises RenderingError where it has neither a value nor a default: nothing is guessed."""
        is_json = where is Where.JSON_BODY and not self.quoted
        value = facts.value(self.variable)
        if value is MISSING or (value is None and not is_json):  # no text says null
            value = self.default
        if value is MISSING:
            raise RenderingError(_without_value(self.variable))
        if is_json:
            return _compact(value)
        text = value if isinstance(value, str) else _compact(value)
        match where:
            case Where.JSON_BODY:
                return _compact(text)[1:-1]
            case Where.URL | Where.FORM_BODY:
                return quote(text, safe="", errors="replace")
            case Where.HEADER if NOT_IN_A_VALUE.search(text):
                raise RenderingError(f"{{{{{self.variable}}}}} holds a line break or control character")
        return text


@dataclass(frozen=True)
class Template:
    """A text with its variables found: literal pieces and places, in order."""

    parts: tuple[str | TemplateVariable, ...]
    where: Where

    @cached_property
    def variables(self) -> frozenset[str]:
        return frozenset(part.variable for part in self.parts if isinstance(part, TemplateVariable))

    def render(self, facts: Facts) -> str:
        """The text for one execution. Raises RenderingError."""
        pieces, length, limit = [], 0, self.where.limit
        for part in self.parts:
            piece = part if isinstance(part, str) else part.rendered(facts, self.where)
            length += len(piece)
            if length > limit:
                raise RenderingError(f"it would be longer than {limit:,} characters")
            pieces.append(piece)
        text = "".join(pieces)
        if self.where is Where.URL and self.variables and _has_dot_segment(text):
            raise RenderingError("its path would hold . or .. as a segment")
        return text

    def value(self, facts: Facts) -> Any:
        """The JSON value of a template that is one variable, else the text; MISSING where a variable has no value."""
        variables = [part for part in self.parts if part]
        if len(variables) == 1 and isinstance(variables[0], TemplateVariable):
            value = facts.value(variables[0].variable)
            return variables[0].default if value is MISSING else value
        try:
            return self.render(facts)
        except RenderingError:
            return MISSING

    @property
    def sample(self) -> str:
        """The text with a harmless value in each place."""
        return "".join(
            part if isinstance(part, str) else "x" if part.quoted or self.where is not Where.JSON_BODY else "null"
            for part in self.parts
        )


def parse(text: str, where: Where) -> Template:
    """Find the variables of `text`. Raises TemplateError for an unknown one, or where none may stand."""
    template = Template(tuple(_parts(text, where)), where)
    if not template.variables:
        return template
    if where is Where.URL:
        _check_url(text, template)
    elif where is Where.JSON_BODY and not _is_json(template.sample):
        raise TemplateError("This is no JSON once its variables have values; put quotes around those that are text.")
    return template


def _parts(text: str, where: Where) -> Iterator[str | TemplateVariable]:
    position, quoted = 0, False
    for found in _PLACE.finditer(text):
        literal = text[position : found.start()]
        quoted ^= _turns(literal) if where is Where.JSON_BODY else False
        yield _literal(literal)
        yield _place(found[1].strip(), where, quoted=quoted)
        position = found.end()
    yield _literal(text[position:])


def _literal(text: str) -> str:
    if OPENING in text:
        raise TemplateError(f"A variable that begins with {{{{ should end with }}}}. {_HOW_TO_SAY_BRACES}")
    return text


def _place(written: str, where: Where, *, quoted: bool) -> TemplateVariable:
    """What stands between braces: a variable, perhaps with a default."""
    found = _DEFAULTED.fullmatch(written) if "|" in written else None
    if found is None:
        return TemplateVariable(_variable(written), quoted)
    default = _default(found["value"].strip(), where)
    if default is None and (where is not Where.JSON_BODY or quoted):
        raise TemplateError(
            f'No text says null: write {{{{{found["name"].strip()[:80]}|default("")}}}} for an empty one.'
        )
    return TemplateVariable(_variable(found["name"].strip()), quoted, default)


def _default(written: str, where: Where) -> Any:
    """A default's value: JSON, or text in single quotes. Where a body was serialised, its quotes are escaped."""
    if where is Where.JSON_BODY and '\\"' in written:
        written = written.replace("\\\\", "\0").replace('\\"', '"').replace("\0", "\\")
    if _SINGLE_QUOTED.fullmatch(written):
        return written[1:-1]
    try:
        return exact_json.loads(written)
    except (ValueError, RecursionError) as error:
        told = f"The default {written[:80]} should be text in quotes or another JSON value, as in {_DEFAULT_EXAMPLE}."
        raise TemplateError(told) from error


def _without_value(variable: str) -> str:
    name = f"{{{{{variable}}}}}"
    if variable.startswith(_SECRETS):
        secret = variable.removeprefix(_SECRETS)
        return f"{name} has no value: the secret {secret} is missing in this environment, or its key is"
    lacks = (
        "this execution was planned for no time" if variable == "scheduled_for" else "the execution's input lacks it"
    )
    return f'{name} has no value: {lacks}. Where that may be, write {{{{{variable}|default("")}}}}'


def _variable(name: str) -> str:
    if name != _BRACES and not _VARIABLE.fullmatch(name):
        told = f"Unknown variable {{{{{name[:80]}}}}}. There are: {', '.join(VARIABLES)}. {_HOW_TO_SAY_BRACES}"
        if "|" in name:
            told = f"After a variable only a default may stand, as in {_DEFAULT_EXAMPLE}. {told}"
        raise TemplateError(told, "unknown_variable")
    return name


def _turns(json_text: str) -> bool:
    """If a string begins in this piece of JSON that does not end there, or the other way round."""
    return sum(found[0] == '"' for found in _JSON_QUOTE.finditer(json_text)) % 2 == 1


def _check_url(text: str, template: Template) -> None:
    origin = _ORIGIN.match(text)
    if origin is None or OPENING in origin[0]:
        raise TemplateError("The scheme, host and port hold no variables: only path and query do.", "template_in_host")
    if _has_dot_segment(template.sample):
        raise TemplateError("A path with variables holds no . or .. as a segment.")


def _has_dot_segment(url: str) -> bool:
    return _DOT_SEGMENT.search(re.split(r"[?#]", url, maxsplit=1)[0]) is not None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def body_place(body: str, headers: Mapping[str, str]) -> Where:
    """How a body is escaped: as its content type says; one without is JSON where it reads as an object or array."""
    content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), None)
    if content_type is None:
        return Where.JSON_BODY if _reads_as_json(body) else Where.TEXT_BODY
    media = content_type.partition(";")[0].strip().lower()
    if media in ("application/json", "text/json") or media.endswith("+json"):
        return Where.JSON_BODY
    return Where.FORM_BODY if media == "application/x-www-form-urlencoded" else Where.TEXT_BODY


def _reads_as_json(body: str) -> bool:
    try:
        return parse(body, Where.JSON_BODY).sample.lstrip()[:1] in ("{", "[")
    except TemplateError:
        return False


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """The templates of a request, compiled once per version, and the names of the secrets in them."""

    url: Template
    headers: tuple[tuple[str, Template], ...]
    body: Template | None
    secrets: frozenset[str]
    client_cert: tuple[Template, Template] | None = None

    @classmethod
    def of(cls, request: RequestDefinition) -> "RequestTemplate | BrokenTemplate | None":
        """None for a request without variables."""
        body = None if request.body is None else request.body.decode()
        shown = request.client_cert
        texts = (
            request.url,
            body or "",
            *(value for _, value in request.headers),
            *((shown.key, shown.cert) if shown else ()),
        )
        if not any(OPENING in text for text in texts):
            return None
        try:
            return cls._parsed(request, body)
        except TemplateError as error:
            return BrokenTemplate(str(error))

    @classmethod
    def _parsed(cls, request: RequestDefinition, body: str | None) -> "RequestTemplate":
        url = parse(request.url, Where.URL)
        headers = tuple((name, parse(value, Where.HEADER)) for name, value in request.headers)
        content = None if body is None else parse(body, body_place(body, dict(request.headers)))
        shown = request.client_cert
        pair = (parse(shown.cert, Where.TEXT_BODY), parse(shown.key, Where.TEXT_BODY)) if shown else None
        templates = [url, *(template for _, template in headers), *([content] if content else []), *(pair or ())]
        return cls(url, headers, content, frozenset().union(*map(secrets_in, templates)), pair)

    def render(self, request: RequestDefinition, facts: Facts) -> RequestDefinition:
        """`request` as one execution sends it. Raises RenderingError, naming the part."""
        url = _rendered(self.url, facts, "URL")
        headers = tuple((name, _rendered(template, facts, f"header {name}")) for name, template in self.headers)
        if sum(len(name.encode()) + len(value.encode()) for name, value in headers) > MAX_HEADER_BYTES:
            raise RenderingError("The headers can't be rendered: together they would be larger than 16 KiB.")
        body = None if self.body is None else _rendered(self.body, facts, "body").encode()
        if body is not None and len(body) > MAX_BODY_BYTES:
            raise RenderingError("The body can't be rendered: it would be larger than 1 MiB.")
        client_cert = None
        if self.client_cert is not None:
            cert, key = self.client_cert
            client_cert = ClientCert(
                _rendered(cert, facts, "client certificate"), _rendered(key, facts, "client certificate's key")
            )
        return replace(request, url=url, headers=headers, body=body, client_cert=client_cert)


@dataclass(frozen=True, slots=True)
class BrokenTemplate:
    """What stands in for a stored template that this release can't read: it is refused, never sent as it is."""

    fault: str
    secrets: frozenset[str] = frozenset()

    def render(self, request: RequestDefinition, facts: Facts) -> RequestDefinition:  # noqa: ARG002 - as a RequestTemplate
        raise RenderingError(f"The request can't be rendered: {self.fault}")


def secrets_in(template: Template) -> frozenset[str]:
    """The names of the secrets that a template uses."""
    return frozenset(name.removeprefix(_SECRETS) for name in template.variables if name.startswith(_SECRETS))


def _rendered(template: Template, facts: Facts, part: str) -> str:
    try:
        return template.render(facts)
    except RenderingError as error:
        raise RenderingError(f"The {part} can't be rendered: {error}.") from error


def _inside(value: Any, path: list[str]) -> Any:
    """What stands at `path` in a JSON value; a number in it counts a list's items from 0."""
    for step in path:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and re.fullmatch("[0-9]+", step) and int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
    return value


def _compact(value: Any) -> str:
    return exact_json.compact(value)


def _instant(value: datetime.datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z."""
    return value.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
