"""Compile assertions, and check a response with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jobs.definition.assertions.types  # noqa: F401 - each class there adds itself to ASSERTION_TYPES
from jobs.definition.assertions.contract import ASSERTION_TYPES, Assertion, CheckedResponse, InvalidAssertionError

MAX_ASSERTIONS = 10
MAX_ERROR_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class UncompiledAssertion:
    """A saved assertion that this release can't compile. It never holds, so that the job fails visibly."""

    detail: str

    def problem(self, response: CheckedResponse) -> str | None:  # noqa: ARG002 - the protocol's signature
        return f"the assertion can't be checked: {self.detail}"


def compile_assertion(written: Mapping[str, Any]) -> Assertion:
    """Compile one assertion's JSON. Raises InvalidAssertionError, and KeyError for a missing field."""
    kind = ASSERTION_TYPES.get(written["type"])
    if kind is None:
        raise InvalidAssertionError("type", f"Should be one of {', '.join(ASSERTION_TYPES)}.")
    return kind.compiled(written)


def compile_assertions(written: Sequence[Mapping[str, Any]]) -> tuple[Assertion, ...]:
    """Compile saved assertions. Never raises: a worker must not fail on what another release saved."""
    return tuple(_compiled(item) for item in written)


def _compiled(written: Mapping[str, Any]) -> Assertion:
    try:
        return compile_assertion(written)
    except (InvalidAssertionError, KeyError) as error:
        return UncompiledAssertion(str(error))


def failed_assertion(
    assertions: Sequence[Assertion],
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    body_truncated: bool,
    total_ms: int | None,
    unreadable: str | None = None,
    opaque: bool = False,
) -> str | None:
    """Return why the first assertion that does not hold does not, or None if all hold. Never quotes the response.

    `body` is its recorded part, as UTF-8; the parameters are those of CheckedResponse.
    """
    response = CheckedResponse(status, headers, body, body_truncated, total_ms, unreadable=unreadable, opaque=opaque)
    for number, assertion in enumerate(assertions, start=1):
        problem = assertion.problem(response)
        if problem is not None:
            which = f"assertion {number}: " if len(assertions) > 1 else ""
            return f"{which}{problem}"[:MAX_ERROR_CHARACTERS]
    return None
