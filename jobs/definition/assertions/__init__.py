"""What a job asserts of an answer beyond its status. Pure; no answer makes it raise, or take long.

Written form: the objects of `success.assertions`. Each is compiled once for each version of a job. `types.py` holds a
class for each type with all that the house needs to know of it.
"""

from jobs.definition.assertions.contract import (
    ASSERTION_TYPES,
    MAX_TEXT_CHARACTERS,
    Assertion,
    AssertionType,
    InvalidAssertionError,
    Shape,
    spelled_value,
)
from jobs.definition.assertions.judging import MAX_ASSERTIONS, compile_assertion, compile_assertions, failed_assertion

__all__ = [
    "ASSERTION_TYPES",
    "MAX_ASSERTIONS",
    "MAX_TEXT_CHARACTERS",
    "Assertion",
    "AssertionType",
    "InvalidAssertionError",
    "Shape",
    "compile_assertion",
    "compile_assertions",
    "failed_assertion",
    "spelled_value",
]
