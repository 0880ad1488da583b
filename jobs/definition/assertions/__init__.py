"""Assertions on a response. Pure; no response makes them raise or take long.

Their JSON is `success.assertions`. Each is compiled once per version of a job. `types.py` has one class per type.
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
from jobs.definition.assertions.evaluation import (
    MAX_ASSERTIONS,
    compile_assertion,
    compile_assertions,
    failed_assertion,
)

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
