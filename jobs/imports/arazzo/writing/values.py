"""Template variables as Arazzo's runtime expressions. Pure."""

from collections.abc import Collection, Iterable
from typing import Any

from jobs.definition.facts import BRACES, MISSING, OPENING, STEPS
from jobs.definition.templates import Template, TemplateContext, TemplateError, TemplateVariable, parse
from jobs.imports.arazzo.pointers import pointer_of

_INPUT = "input."
Part = str | TemplateVariable


class WrittenValues:
    """The values of one workflow's texts. Collects the inputs and outputs that the expressions need.

    Values that Arazzo has no expression for, such as {{timestamp}}, become inputs with a name of Hourhand's.
    """

    def __init__(self, calls: Collection[str]) -> None:
        self._calls = calls
        self.inputs: dict[str, dict[str, Any]] = {}
        self.outputs: dict[str, dict[str, str]] = {}
        #: Whether a default was left out since `take_lost_default` was last called.
        self._lost_default = False

    def text(self, parts: Iterable[Part]) -> str:
        """Write a text: a single variable as an expression, others in braces within the text."""
        parts = [part for part in parts if part]
        if len(parts) == 1 and isinstance(parts[0], TemplateVariable) and parts[0].variable != BRACES:
            return self.expression(parts[0])
        return "".join(part if isinstance(part, str) else self._embedded(part) for part in parts)

    def _embedded(self, part: TemplateVariable) -> str:
        return OPENING if part.variable == BRACES else f"{{{self.expression(part)}}}"

    def expression(self, part: TemplateVariable) -> str:
        self._lost_default |= part.default is not MISSING
        variable = part.variable
        if variable.startswith(_INPUT):
            name, *rest = variable.removeprefix(_INPUT).split(".")
            self.inputs.setdefault(name, {})
            return _with_pointer(f"$inputs.{name}", rest)
        if variable.startswith(STEPS):
            _, step, name, *rest = variable.split(".")
            if step in self._calls:
                return self._output(step, name, rest)
        name = "hourhand_" + variable.replace(".", "_")
        self.inputs.setdefault(name, {"description": f"Hourhand fills in {{{{{variable}}}}} itself."})
        return f"$inputs.{name}"

    def take_lost_default(self) -> bool:
        lost, self._lost_default = self._lost_default, False
        return lost

    def _output(self, step: str, name: str, rest: list[str]) -> str:
        """Add the output of a property that every step has; values that a step extracts are outputs anyway."""
        outputs = self.outputs.setdefault(step, {})
        match name:
            case "status":
                outputs["status"] = "$statusCode"
            case "body" | "json":
                name = "body"
                outputs["body"] = "$response.body"
            case "headers":
                name, rest = f"header.{rest[0]}", []
                outputs[name] = f"$response.{name}"
        return _with_pointer(f"$steps.{step}.outputs.{name}", rest)


def template_of(text: str, context: TemplateContext) -> Template:
    """Parse a stored text; one that this release can't parse is literal."""
    try:
        return parse(text, context)
    except TemplateError:
        return Template((text,), context)


def single_variable(text: Any) -> TemplateVariable | None:
    """Return the variable that a text consists of."""
    if not isinstance(text, str):
        return None
    parts = [part for part in template_of(text, TemplateContext.TEXT_BODY).parts if part]
    variable = parts[0] if len(parts) == 1 else None
    return variable if isinstance(variable, TemplateVariable) and variable.variable != BRACES else None


def _with_pointer(expression: str, tokens: list[str]) -> str:
    return f"{expression}#{pointer_of(tokens)}" if tokens else expression
