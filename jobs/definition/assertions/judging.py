"""Written assertions compiled, and an answer judged by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jobs.definition.assertions.types  # noqa: F401 - each class there adds itself to ASSERTION_TYPES
from jobs.definition.assertions.contract import ASSERTION_TYPES, Answer, Assertion, InvalidAssertionError

MAX_ASSERTIONS = 10
MAX_ERROR_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An assertion that was saved and can't be compiled any more. It holds of nothing, so that somebody notices."""

    detail: str

    def problem(self, answer: Answer) -> str | None:  # noqa: ARG002 - as every assertion
        return f"the assertion can't be judged: {self.detail}"


def compile_assertion(written: Mapping[str, Any]) -> Assertion:
    """One assertion from its written form. Raises InvalidAssertionError; KeyError where it lacks a part."""
    found = ASSERTION_TYPES.get(written["type"])
    if found is None:
        raise InvalidAssertionError("type", "Is no type of assertion.")
    return found.compiled(written)


def compile_assertions(written: Sequence[Mapping[str, Any]]) -> tuple[Assertion, ...]:
    """Saved assertions, for whoever judges. Never raises: a worker must not fail on what an older release saved."""
    return tuple(_compiled_or_unreadable(item) for item in written)


def _compiled_or_unreadable(written: Mapping[str, Any]) -> Assertion:
    try:
        return compile_assertion(written)
    except (InvalidAssertionError, KeyError) as error:
        return Unreadable(str(error))


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
    """Says of the first assertion that does not hold why not; None if all hold.

    `body` is what was kept of the body, as UTF-8, and `body_truncated` if that is not all of it. `unreadable` says why
    it is no text that can be read, and `opaque` if not even its ASCII can. The text never quotes the answer.
    """
    answer = Answer(status, headers, body, body_truncated, total_ms, unreadable=unreadable, opaque=opaque)
    for number, assertion in enumerate(assertions, start=1):
        problem = assertion.problem(answer)
        if problem is not None:
            which = f"assertion {number}: " if len(assertions) > 1 else ""
            return f"{which}{problem}"[:MAX_ERROR_CHARACTERS]
    return None
