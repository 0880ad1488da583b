"""The success criteria and failure actions of a written step. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from core import exact_json
from jobs.imports.arazzo.pointers import pointer_to


def written_criteria(success: Mapping[str, Any], notes: list[str]) -> list[dict[str, Any]]:
    """Write the statuses and assertions of a step. Those without a counterpart are noted."""
    criteria = [{"condition": " || ".join(map(_status, success["statuses"]))}]
    for assertion in success["assertions"]:
        criterion = _criterion(assertion)
        if criterion is None:
            notes.append(f"The assertion {assertion['type']}.")
        elif criterion not in criteria:
            criteria.append(criterion)
    return criteria


def written_failure(step: Mapping[str, Any], following: str | None, notes: list[str]) -> list[dict[str, Any]]:
    """Write the retries of a step, and where a failure leads. `following` is the next call."""
    actions = []
    if (retry := _retry(step["retry"], notes)) is not None:
        actions.append(retry)
    match step["on_failure"]:
        case "stop":
            actions.append({"name": "stop", "type": "end"})
        case "continue":
            target = {"type": "end"} if following is None else {"type": "goto", "stepId": following}
            actions.append({"name": "continue", **target})
    return actions


def _retry(retry: Mapping[str, Any], notes: list[str]) -> dict[str, Any] | None:
    statuses = [status for status in retry["on_statuses"] if status not in retry["except_statuses"]]
    if retry["max_attempts"] == 1:
        return None
    if not statuses:
        notes.append("The retries, which no status starts.")
        return None
    delay = retry["delays_ms"][0] if retry["backoff"] == "list" else retry["delay_ms"]
    if retry["backoff"] != "fixed" or retry["jitter"]:
        notes.append("The delays of retries other than the first.")
    criteria = [{"condition": " || ".join(f"$statusCode == {status}" for status in statuses)}]
    limit = retry["max_attempts"] - 1
    return {"name": "retry", "type": "retry", "retryAfter": delay / 1000, "retryLimit": limit, "criteria": criteria}


def _status(status: str) -> str:
    """Write a code, or a class such as 2xx."""
    if status.endswith("xx"):
        first = int(status[0])
        return f"($statusCode >= {first}00 && $statusCode < {first + 1}00)"
    return f"$statusCode == {status}"


def _criterion(assertion: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the criterion that checks the same; None if Arazzo has none."""
    value = assertion["value"]
    match assertion["type"]:
        case "status_equals":
            return {"condition": f"$statusCode == {value}"}
        case "header_equals":
            return {"condition": f"$response.header.{assertion['name']} == {_literal(value)}"}
        case "header_contains":
            return _regex(f"$response.header.{assertion['name']}", re.escape(value))
        case "body_contains":
            return _regex("$response.body", re.escape(value))
        case "body_matches":
            return _regex("$response.body", value)
        case "json_path_exists" if value is True:
            return {"context": "$response.body", "condition": assertion["path"], "type": "jsonpath"}
        case "json_path_equals":
            pointer = pointer_to(assertion["path"])
            if pointer and _plain(pointer) and not isinstance(value, dict | list):
                return {"condition": f"$response.body#{pointer} == {_literal(value)}"}
    return None


def _plain(pointer: str) -> bool:
    """Whether a pointer can be part of a simple condition, whose operators and spaces would end it."""
    return re.search(r"[\s()!=<>&|']", pointer) is None


def _regex(context: str, pattern: str) -> dict[str, Any]:
    return {"context": context, "condition": pattern, "type": "regex"}


def _literal(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else exact_json.compact(value)


def written_outputs(extract: Mapping[str, Any], notes: list[str]) -> dict[str, str]:
    """Write the extracted values whose paths are plain. Others, defaults and secrecy are noted."""
    outputs = {}
    for name, written in extract.items():
        path = written if isinstance(written, str) else written["path"]
        pointer = pointer_to(path)
        if pointer is None:
            notes.append(f"The extracted value {name}: its path is no JSON Pointer.")
        else:
            outputs[name] = f"$response.body#{pointer}"
        if not isinstance(written, str) and ("default" in written or written.get("secret")):
            notes.append(f"The default and secrecy of {name}.")
    return outputs
