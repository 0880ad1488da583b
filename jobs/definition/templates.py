"""Template variables in a job's request: `{{name}}` in its URL, header values and body. Pure.

One pass of a regular expression finds them when a version is read; rendering joins the pieces. No template engine sees
users' text, rendered text is never rendered again, and each value is escaped for its context.
"""

import enum
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import quote

from accounts.names import SECRET_NAME_PATTERN
from core import exact_json
from jobs.definition.contract import ClientCert, RequestDefinition
from jobs.definition.facts import (
    BODY,
    BRACES,
    EXTRACTED_PATTERN,
    MISSING,
    OPENING,
    SECRETS,
    STEP_ID_PATTERN,
    STEP_PROPERTIES,
    STEPS,
    TRIGGER,
    Facts,
)
from jobs.definition.headers import MAX_HEADER_BYTES, NOT_IN_A_VALUE
from jobs.egress.target import MAX_URL_LENGTH

MAX_BODY_BYTES = 1024 * 1024
#: As error messages list them.
VARIABLES = (
    "timestamp", "unix", "uuid", "execution_id", "scheduled_for", "job", "environment", "input.PATH", "secrets.NAME",
    "trigger.headers.NAME", "trigger.query.NAME",
)  # fmt: skip

_PLACEHOLDER = re.compile(rf"\{{\{{(\s*{re.escape(BRACES)}\s*|[^{{}}]*)\}}\}}")
_PATH = r"(?:\.[A-Za-z0-9_-]{1,100})*"
_VARIABLE = re.compile(
    rf"timestamp|unix|uuid|execution_id|scheduled_for|job|environment|(?:input|{BODY}){_PATH}"
    rf"|secrets\.{SECRET_NAME_PATTERN}|trigger\.(?:headers|query)\.[A-Za-z0-9_-]{{1,100}}"
    rf"|steps\.{STEP_ID_PATTERN}\.(?:status|body|resume_url|headers\.[A-Za-z0-9_-]{{1,100}}|json{_PATH}"
    rf"|(?!(?:{'|'.join(STEP_PROPERTIES)})\b){EXTRACTED_PATTERN}{_PATH})"
)
_DEFAULTED = re.compile(r"(?P<name>[^|]*)\|\s*default\s*\((?P<value>.*)\)\s*", re.DOTALL)
_SINGLE_QUOTED = re.compile(r"'[^']*'")
_JSON_QUOTE = re.compile(r'\\.|"', re.DOTALL)
_ORIGIN = re.compile(r"[^:/?#]*://[^/?#]*[/?#]")
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?=[/?#]|$)", re.IGNORECASE)
_BRACES_HINT = "Write {{'{{'}} for {{ itself."
_DEFAULT_EXAMPLE = '{{input.a|default("x")}}'


class TemplateError(ValueError):
    """The template is invalid; the text says why. `code` is stable."""

    def __init__(self, text: str, code: str = "invalid_template") -> None:
        super().__init__(text)
        self.code = code


class RenderingError(ValueError):
    """The template can't be rendered for an execution; the text says why, without values."""


class TemplateContext(enum.Enum):
    """The part of a request that a template is in, for which its values are escaped."""

    URL = "url"
    HEADER = "header"
    JSON_BODY = "json_body"
    FORM_BODY = "form_body"
    TEXT_BODY = "text_body"

    @property
    def limit(self) -> int:
        """The most characters of a rendered text."""
        return {TemplateContext.URL: MAX_URL_LENGTH, TemplateContext.HEADER: MAX_HEADER_BYTES}.get(self, MAX_BODY_BYTES)


@dataclass(frozen=True, slots=True)
class TemplateVariable:
    """A variable in a template. `quoted`: inside a string of a JSON body. `default` replaces a missing value."""

    variable: str
    quoted: bool
    default: Any = MISSING

    def rendered(self, facts: Facts, context: TemplateContext) -> str:
        """Return its escaped text. Raises RenderingError if it has neither a value nor a default."""
        is_json = context is TemplateContext.JSON_BODY and not self.quoted
        value = facts.value(self.variable)
        if value is MISSING or (value is None and not is_json):  # only JSON has a null
            value = self.default
        if value is MISSING:
            raise RenderingError(_without_value(self.variable))
        if is_json:
            return _compact(value)
        text = value if isinstance(value, str) else _compact(value)
        match context:
            case TemplateContext.JSON_BODY:
                return _compact(text)[1:-1]
            case TemplateContext.URL | TemplateContext.FORM_BODY:
                return quote(text, safe="", errors="replace")
            case TemplateContext.HEADER if NOT_IN_A_VALUE.search(text):
                raise RenderingError(f"{{{{{self.variable}}}}} has a line break or control character")
        return text


@dataclass(frozen=True)
class Template:
    """A parsed text: literal pieces and variables, in order."""

    parts: tuple[str | TemplateVariable, ...]
    context: TemplateContext

    @cached_property
    def variables(self) -> frozenset[str]:
        return frozenset(part.variable for part in self.parts if isinstance(part, TemplateVariable))

    def render(self, facts: Facts) -> str:
        """Render the text for one execution. Raises RenderingError."""
        pieces, length, limit = [], 0, self.context.limit
        for part in self.parts:
            piece = part if isinstance(part, str) else part.rendered(facts, self.context)
            length += len(piece)
            if length > limit:
                raise RenderingError(f"it would be longer than {limit:,} characters")
            pieces.append(piece)
        text = "".join(pieces)
        if self.context is TemplateContext.URL and self.variables and _has_dot_segment(text):
            raise RenderingError("its path would have . or .. as a segment")
        return text

    def value(self, facts: Facts) -> Any:
        """Return the JSON value of a single variable, else the text; MISSING if a variable has no value."""
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
        """The text with a harmless value for each variable."""
        return "".join(
            part
            if isinstance(part, str)
            else "x"
            if part.quoted or self.context is not TemplateContext.JSON_BODY
            else "null"
            for part in self.parts
        )


def parse(text: str, context: TemplateContext) -> Template:
    """Parse a text. Raises TemplateError for an unknown variable, or a variable where none is allowed."""
    template = Template(tuple(_parts(text, context)), context)
    if not template.variables:
        return template
    if context is TemplateContext.URL:
        _check_url(text, template)
    elif context is TemplateContext.JSON_BODY and not _is_json(template.sample):
        raise TemplateError("Should be JSON once its variables have values; put quotes around those that are text.")
    return template


def _parts(text: str, context: TemplateContext) -> Iterator[str | TemplateVariable]:
    position, quoted = 0, False
    for match in _PLACEHOLDER.finditer(text):
        literal = text[position : match.start()]
        quoted ^= _toggles_string(literal) if context is TemplateContext.JSON_BODY else False
        yield _literal(literal)
        yield _placeholder(match[1].strip(), context, quoted=quoted)
        position = match.end()
    yield _literal(text[position:])


def _literal(text: str) -> str:
    if OPENING in text:
        raise TemplateError(f"A variable that starts with {{{{ should end with }}}}. {_BRACES_HINT}")
    return text


def _placeholder(text: str, context: TemplateContext, *, quoted: bool) -> TemplateVariable:
    """Parse the text between braces: a variable, perhaps with a default."""
    match = _DEFAULTED.fullmatch(text) if "|" in text else None
    if match is None:
        return TemplateVariable(_variable(text), quoted)
    default = _default(match["value"].strip(), context)
    if default is None and (context is not TemplateContext.JSON_BODY or quoted):
        raise TemplateError(
            f'The default null needs an unquoted place in JSON: write {{{{{match["name"].strip()[:80]}|default("")}}}} '
            "for empty text."
        )
    return TemplateVariable(_variable(match["name"].strip()), quoted, default)


def _default(text: str, context: TemplateContext) -> Any:
    """Parse a default: JSON, or text in single quotes. In a serialised body its quotes are escaped."""
    if context is TemplateContext.JSON_BODY and '\\"' in text:
        text = text.replace("\\\\", "\0").replace('\\"', '"').replace("\0", "\\")
    if _SINGLE_QUOTED.fullmatch(text):
        return text[1:-1]
    try:
        return exact_json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = f"The default {text[:80]} should be text in quotes or another JSON value, as in {_DEFAULT_EXAMPLE}."
        raise TemplateError(problem) from error


def _without_value(variable: str) -> str:
    name = f"{{{{{variable}}}}}"
    if variable.startswith(SECRETS):
        secret = variable.removeprefix(SECRETS)
        return f"{name} has no value: the secret {secret} is missing in this environment, or can't be decrypted"
    reason = "the execution's input lacks it"
    if variable == "scheduled_for":
        reason = "this execution has no scheduled time"
    elif variable.startswith(TRIGGER):
        reason = "no webhook's request brought it, or the job does not keep it"
    elif variable.startswith(STEPS):
        reason = f"the step {variable.split('.')[1]} brought none, or was skipped"
    return f'{name} has no value: {reason}. If that is expected, write {{{{{variable}|default("")}}}}'


def _variable(name: str) -> str:
    if name != BRACES and not _VARIABLE.fullmatch(name):
        problem = f"Unknown variable {{{{{name[:80]}}}}}. The variables are {', '.join(VARIABLES)}. {_BRACES_HINT}"
        if name.startswith(STEPS):
            names = "status, body, json.PATH, headers.NAME, resume_url or a value that it extracts"
            problem = f"{{{{{name[:80]}}}}} should name what a step has, as {{{{steps.ID.NAME}}}}: {names}."
        if "|" in name:
            problem = f"Only a default may follow a variable, as in {_DEFAULT_EXAMPLE}. {problem}"
        raise TemplateError(problem, "unknown_variable")
    return name


def _toggles_string(json_text: str) -> bool:
    """Return whether this piece of JSON starts a string without ending it, or ends one without starting it."""
    return sum(match[0] == '"' for match in _JSON_QUOTE.finditer(json_text)) % 2 == 1


def _check_url(text: str, template: Template) -> None:
    origin = _ORIGIN.match(text)
    if origin is None or OPENING in origin[0]:
        raise TemplateError(
            "Variables are allowed in the path and query only, not in the scheme, host or port.", "template_in_host"
        )
    if _has_dot_segment(template.sample):
        raise TemplateError("A path with variables should have no . or .. as a segment.")


def _has_dot_segment(url: str) -> bool:
    return _DOT_SEGMENT.search(re.split(r"[?#]", url, maxsplit=1)[0]) is not None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def body_context(body: str, headers: Mapping[str, str]) -> TemplateContext:
    """Return how to escape values in a body: by its content type; without one, as JSON if it is an object or array."""
    content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), None)
    if content_type is None:
        return TemplateContext.JSON_BODY if _reads_as_json(body) else TemplateContext.TEXT_BODY
    media = content_type.partition(";")[0].strip().lower()
    if media in ("application/json", "text/json") or media.endswith("+json"):
        return TemplateContext.JSON_BODY
    return TemplateContext.FORM_BODY if media == "application/x-www-form-urlencoded" else TemplateContext.TEXT_BODY


def _reads_as_json(body: str) -> bool:
    try:
        return parse(body, TemplateContext.JSON_BODY).sample.lstrip()[:1] in ("{", "[")
    except TemplateError:
        return False


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """The parsed templates of a request, once per version, and the names of their secrets."""

    url: Template
    headers: tuple[tuple[str, Template], ...]
    body: Template | None
    secrets: frozenset[str]
    client_cert: tuple[Template, Template] | None = None

    @classmethod
    def of(cls, request: RequestDefinition) -> "RequestTemplate | BrokenTemplate | None":
        """Parse a request; None if it has no variables."""
        body = None if request.body is None else request.body.decode()
        pair = request.client_cert
        texts = (
            request.url,
            body or "",
            *(value for _, value in request.headers),
            *((pair.key, pair.cert) if pair else ()),
        )
        if not any(OPENING in text for text in texts):
            return None
        try:
            return cls._parsed(request, body)
        except TemplateError as error:
            return BrokenTemplate(str(error))

    @classmethod
    def _parsed(cls, request: RequestDefinition, body: str | None) -> "RequestTemplate":
        url = parse(request.url, TemplateContext.URL)
        headers = tuple((name, parse(value, TemplateContext.HEADER)) for name, value in request.headers)
        content = None if body is None else parse(body, body_context(body, dict(request.headers)))
        cert = request.client_cert
        pair = (
            (parse(cert.cert, TemplateContext.TEXT_BODY), parse(cert.key, TemplateContext.TEXT_BODY)) if cert else None
        )
        templates = [url, *(template for _, template in headers), *([content] if content else []), *(pair or ())]
        return cls(url, headers, content, frozenset().union(*map(secrets_in, templates)), pair)

    def render(self, request: RequestDefinition, facts: Facts) -> RequestDefinition:
        """Render the request for one execution. Raises RenderingError, naming the part."""
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
    """A stored template that this release can't parse. Rendering fails: the text is never sent as it is."""

    problem: str
    secrets: frozenset[str] = frozenset()

    def render(self, request: RequestDefinition, facts: Facts) -> RequestDefinition:  # noqa: ARG002 - the signature of RequestTemplate
        raise RenderingError(f"The request can't be rendered: {self.problem}")


def secrets_in(template: Template) -> frozenset[str]:
    """Return the names of the secrets in a template."""
    return frozenset(name.removeprefix(SECRETS) for name in template.variables if name.startswith(SECRETS))


def _rendered(template: Template, facts: Facts, part: str) -> str:
    try:
        return template.render(facts)
    except RenderingError as error:
        raise RenderingError(f"The {part} can't be rendered: {error}.") from error


def _compact(value: Any) -> str:
    return exact_json.compact(value)
