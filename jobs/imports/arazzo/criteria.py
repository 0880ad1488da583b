"""The success criteria of a step as statuses and assertions. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.definition.assertions import MAX_ASSERTIONS, InvalidAssertionError, compile_assertion
from jobs.imports.arazzo.conditions import (
    ALL_STATUSES,
    Expression,
    Relation,
    all_of,
    parse_condition,
    statuses_of,
    written_statuses,
)
from jobs.imports.arazzo.expressions import quoted
from jobs.imports.arazzo.pointers import path_of, pointer_tokens
from jobs.imports.foreign import mapping
from jobs.imports.items import ReadError

_BODY = re.compile(r"\$response\.body(?:#(?P<pointer>.*))?", re.DOTALL)
_HEADER = re.compile(r"\$response\.header\.(?P<name>[A-Za-z0-9!#$%&'*+.^_`|~-]+)")
#: Patterns of statuses whose meaning is certain: ^200$, ^(200|204)$, ^2[0-9]{2}$ and its other spellings.
_EXACT_CODES = re.compile(r"\^\(?(?P<codes>[1-5][0-9]{2}(?:\|[1-5][0-9]{2})*)\)?\$")
_CODE_CLASS = re.compile(r"\^(?P<first>[1-5])(?:\.\.|\.\{2\}|\\d\\d|\\d\{2\}|\[0-9\]\{2\}|\[0-9\]\[0-9\])\$")
_MAX_STATUSES = 50
_MAX_CRITERIA = 100


@dataclass(slots=True)
class Success:
    """What a step's criteria ask for. `statuses` is a set, None if no criterion names the status.

    `left_out` names criteria that Hourhand can't check, `notes` those that it checks a little differently.
    """

    statuses: int | None = None
    assertions: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def section(self) -> dict[str, Any]:
        """Return the `success` section. Raises ReadError if no status can be a success."""
        section: dict[str, Any] = {}
        if self.statuses is not None:
            section["statuses"] = listed_statuses(self.statuses)
        if self.assertions:
            section["assertions"] = self.assertions
        return section


def listed_statuses(statuses: int) -> list[str]:
    """Write a set of statuses. Raises ReadError for one that is empty or too long to list."""
    written = written_statuses(statuses)
    if not written:
        raise ReadError("no status satisfies its successCriteria.")
    if len(written) > _MAX_STATUSES:
        raise ReadError(f"its successCriteria allow more than {_MAX_STATUSES} statuses and classes.")
    return written


def read_success(criteria: Any) -> Success:
    """Read `successCriteria`. Raises ReadError if it is no list of criteria."""
    success = Success()
    if criteria is None:
        return success
    if not isinstance(criteria, list) or len(criteria) > _MAX_CRITERIA:
        raise ReadError(f"successCriteria should be a list of at most {_MAX_CRITERIA} criteria.")
    for written in criteria:
        criterion = mapping(written, "A criterion")
        condition = criterion.get("condition")
        if not isinstance(condition, str):
            raise ReadError("A criterion should have a condition.")
        try:
            _read(criterion, condition, success)
        except ReadError as error:
            success.left_out.append(f"the criterion {quoted(condition)}: {error}")
    if criteria and success.statuses is None:
        success.notes.append("no criterion names the status: it must also be 2xx.")
    return success


def read_statuses(criteria: Any) -> int | None:
    """Return the statuses for which all of an action's criteria hold; None without criteria.

    Raises ReadError for criteria about more than the status.
    """
    if not criteria:
        return None
    if not isinstance(criteria, list) or len(criteria) > _MAX_CRITERIA:
        raise ReadError(f"criteria should be a list of at most {_MAX_CRITERIA} criteria.")
    success = Success()
    for written in criteria:
        criterion = mapping(written, "A criterion")
        _read(criterion, str(criterion.get("condition", "")), success)
    if success.statuses is None or success.assertions:
        raise ReadError("its criteria are about more than the status")
    return success.statuses


def _read(criterion: Mapping[str, Any], condition: str, success: Success) -> None:
    """Add one criterion. Raises ReadError, without a full stop, for one that can't be checked."""
    kind = criterion.get("type", "simple")
    if kind == "simple":
        for part in all_of(parse_condition(condition)):
            _read_part(part, condition, success)
    elif kind == "regex" and criterion.get("context") == "$statusCode":
        _allow(success, _statuses_matching(condition))
    elif kind == "regex" and criterion.get("context") == "$response.body":
        _add(success, {"type": "body_matches", "value": condition})
    elif kind == "jsonpath":
        path = _path_below(str(criterion.get("context")), condition)
        _add(success, {"type": "json_path_exists", "path": path, "value": True})
    else:
        name = kind if isinstance(kind, str) else mapping(kind, "type").get("version")
        raise ReadError(f"{str(name)[:40]} of {quoted(str(criterion.get('context')))} can't be checked")


def _read_part(part: Any, condition: str, success: Success) -> None:
    statuses = statuses_of(part)
    if statuses is not None:
        _allow(success, statuses)
        return
    if not isinstance(part, Relation) or part.operator != "==" or isinstance(part.right, Expression):
        raise ReadError("only == with a literal, and conditions on $statusCode alone, can be checked")
    left = part.left.text if isinstance(part.left, Expression) else ""
    if match := _HEADER.fullmatch(left):
        _add(success, {"type": "header_equals", "name": match["name"], "value": _spelled(part.right)})
    elif (match := _BODY.fullmatch(left)) and match["pointer"]:
        _add(success, {"type": "json_path_equals", "path": path_of(match["pointer"]), "value": part.right})
    else:
        raise ReadError("only the status, headers and parts of the body can be checked")
    if isinstance(part.right, str) and part.right.lower() != part.right.upper():
        success.notes.append(f"{quoted(condition)} is compared in the same case; the standard ignores case.")


def _allow(success: Success, statuses: int) -> None:
    success.statuses = (ALL_STATUSES if success.statuses is None else success.statuses) & statuses


def _add(success: Success, assertion: dict[str, Any]) -> None:
    """Add an assertion if it compiles. Raises ReadError."""
    if len(success.assertions) == MAX_ASSERTIONS:
        raise ReadError(f"a step has at most {MAX_ASSERTIONS} assertions")
    try:
        compile_assertion(assertion)
    except InvalidAssertionError as error:
        raise ReadError(str(error).rstrip(".")) from error
    success.assertions.append(assertion)


def _path_below(context: str, path: str) -> str:
    """Return a JSON path into the body for one whose root is `context`."""
    match = _BODY.fullmatch(context)
    if match is None or not path.startswith("$"):
        raise ReadError("a JSON path is checked on $response.body only")
    if not pointer_tokens(match["pointer"] or ""):
        return path
    if path.count("$") > 1:
        raise ReadError("a JSON path with several $ needs the whole body as its context")
    return path_of(match["pointer"]) + path[1:]


def _statuses_matching(pattern: str) -> int:
    if match := _EXACT_CODES.fullmatch(pattern):
        return sum({1 << (int(code) - 100) for code in match["codes"].split("|")})
    if match := _CODE_CLASS.fullmatch(pattern):
        return ((1 << 100) - 1) << 100 * (int(match["first"]) - 1)
    raise ReadError("patterns of statuses should be as ^200$, ^(200|204)$ or ^2[0-9]{2}$")


def _spelled(literal: Any) -> str:
    """Write a literal as a header does."""
    if literal is None or isinstance(literal, bool):
        return {None: "null", True: "true", False: "false"}[literal]
    return str(literal)
