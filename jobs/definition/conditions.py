"""Conditions on an execution's values, such as "{{input.action}} equals opened". Pure; no value makes one raise.

Written form: `{"value": template, "op": operator, "to": JSON}`. Each is compiled once per version of a job.
"""

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from jobs.definition.assertions.contract import InvalidAssertionError
from jobs.definition.assertions.values import MAX_VALUE_DEPTH, json_value, pattern, same, shown
from jobs.definition.facts import MISSING, OPENING, Facts
from jobs.definition.templates import Template, TemplateContext, TemplateError, parse

MAX_CONDITIONS = 10
MAX_OPTIONS = 100


class Operator(enum.StrEnum):
    """How a condition compares its value with `to`."""

    EQUALS = "equals"
    NOT_EQUALS = "not_equals"
    CONTAINS = "contains"
    NOT_CONTAINS = "not_contains"
    MATCHES = "matches"
    EXISTS = "exists"
    NOT_EXISTS = "not_exists"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"


#: Operators that compare with nothing.
UNARY = (Operator.EXISTS, Operator.NOT_EXISTS)
#: Operators that hold where the value is missing.
_HOLD_WITHOUT_VALUE = (Operator.NOT_EQUALS, Operator.NOT_CONTAINS, Operator.NOT_EXISTS)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_MAX_DIGITS = 400
_ORDERS = (Operator.GT, Operator.GTE, Operator.LT, Operator.LTE)


class InvalidConditionError(ValueError):
    """A condition that can't be compiled. `field` is the part that is wrong; the text says why; `code` is stable."""

    def __init__(self, field: str, detail: str, code: str = "invalid") -> None:
        super().__init__(detail)
        self.field = field
        self.code = code


@dataclass(frozen=True, slots=True)
class Operand:
    """One side of a comparison: a JSON value, or a template. A template of one variable keeps that value's type."""

    constant: Any = None
    template: Template | None = None

    @classmethod
    def of(cls, written: Any) -> "Operand":
        """Raises TemplateError."""
        if isinstance(written, str) and OPENING in written:
            return cls(template=parse(written, TemplateContext.TEXT_BODY))
        return cls(constant=written)

    @property
    def variables(self) -> frozenset[str]:
        return self.template.variables if self.template else frozenset()

    def value(self, facts: Facts) -> Any:
        """The JSON value for one execution; MISSING where a variable has neither a value nor a default."""
        return self.constant if self.template is None else self.template.value(facts)


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. `pattern` is the compiled `to` of `matches`."""

    value: Operand
    operator: Operator
    to: Operand
    pattern: Any = None

    @property
    def variables(self) -> frozenset[str]:
        return self.value.variables | self.to.variables

    def holds(self, facts: Facts) -> bool:
        """Compare. Values of types that can't be compared make the condition fail, `not_…` ones hold."""
        value = self.value.value(facts)
        if self.operator in UNARY:
            return (value is not MISSING) == (self.operator is Operator.EXISTS)
        to = self.to.value(facts)
        if value is MISSING or to is MISSING:
            return self.operator in _HOLD_WITHOUT_VALUE
        match self.operator:
            case Operator.EQUALS | Operator.NOT_EQUALS:
                return _equal(value, to) == (self.operator is Operator.EQUALS)
            case Operator.CONTAINS | Operator.NOT_CONTAINS:
                return _contains(value, to) == (self.operator is Operator.CONTAINS)
            case Operator.MATCHES:
                return isinstance(value, str) and self.pattern.search(value.encode(errors="replace")) is not None
            case Operator.IN:
                return isinstance(to, list) and any(_equal(value, option) for option in to)
        return _in_order(self.operator, value, to)


def compile_condition(written: Mapping[str, Any]) -> Condition:
    """Compile one condition from its written form. Raises InvalidConditionError."""
    try:
        operator = Operator(written["op"])
    except ValueError as error:
        raise InvalidConditionError("op", f"Should be one of {', '.join(Operator)}.", "invalid_choice") from error
    value, to = _operand("value", written["value"]), written.get("to")
    if not value.variables:
        raise InvalidConditionError("value", "Should hold a variable, as in {{input.action}}.", "no_variable")
    if operator in UNARY:
        if to is not None:
            raise InvalidConditionError("to", f"{operator} compares with nothing: leave it out.", "conflicting")
        return Condition(value, operator, Operand())
    if operator is Operator.MATCHES:
        return Condition(value, operator, Operand(to), _pattern(to))
    if operator is Operator.IN and not (isinstance(to, list) and 0 < len(to) <= MAX_OPTIONS):
        raise InvalidConditionError("to", f"in compares with a list of 1 to {MAX_OPTIONS} values.")
    compared = _operand("to", to)
    if operator in _ORDERS and not compared.variables and _number(to) is None:
        raise InvalidConditionError("to", f"{operator} compares with a number.")
    return Condition(value, operator, compared)


def failing(conditions: Sequence[Condition], written: Sequence[Mapping[str, Any]], facts: Facts) -> str | None:
    """Say which condition is the first that does not hold; None if all hold. The text quotes no value of `facts`."""
    for condition, spelled in zip(conditions, written, strict=True):
        if not condition.holds(facts):
            to = "" if condition.operator in UNARY else f" {shown(spelled.get('to'))}"
            return f"{spelled['value']} {condition.operator.replace('_', ' ')}{to} does not hold"
    return None


def _operand(field: str, written: Any) -> Operand:
    try:
        return Operand.of(json_value(written))
    except InvalidAssertionError as error:
        raise InvalidConditionError(field, f"Can be nested {MAX_VALUE_DEPTH} levels deep at most.") from error
    except TemplateError as error:
        raise InvalidConditionError(field, str(error), error.code) from error


def _pattern(to: Any) -> Any:
    if not isinstance(to, str):
        raise InvalidConditionError("to", "matches compares with a regular expression in RE2's syntax.")
    try:
        return pattern(to)
    except InvalidAssertionError as error:
        raise InvalidConditionError("to", str(error)) from error


def _equal(value: Any, to: Any) -> bool:
    """JSON equality; a text and a number or boolean are equal where the text spells it, as headers do."""
    if isinstance(value, str) != isinstance(to, str):
        text, other = (value, to) if isinstance(value, str) else (to, value)
        if isinstance(other, bool):
            return bool(text == str(other).lower())
        return isinstance(other, int | float) and _number(text) == _number(other)
    return same(value, to)


def _contains(value: Any, to: Any) -> bool:
    """Text in text, an element in a list, a key in an object."""
    if isinstance(value, str):
        return isinstance(to, str) and to in value
    if isinstance(value, list):
        return any(_equal(element, to) for element in value)
    return isinstance(value, dict) and isinstance(to, str) and to in value


def _in_order(operator: Operator, value: Any, to: Any) -> bool:
    left, right = _number(value), _number(to)
    if left is None or right is None:
        return False
    match operator:
        case Operator.GT:
            return left > right
        case Operator.GTE:
            return left >= right
        case Operator.LT:
            return left < right
    return left <= right


def _number(value: Any) -> Decimal | None:
    """A number, or a text that spells one, exactly; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value)
    return Decimal(text) if len(text) <= _MAX_DIGITS and _NUMBER.fullmatch(text) else None
