"""The steps of a workflow in words. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from dashboard.jobs.phrases import SENDERS, assertion_words, condition_words, cut, seconds_words

Step = Mapping[str, Any]
_AFTER_FAILURE = {
    "continue": "the workflow goes on if it fails",
    "stop": "the workflow ends as a success if it fails",
}
_AFTER_WAIT = {"fail": "then it fails", "reject": "then it is rejected", "continue": "then the workflow goes on"}


def step_words(step: Step) -> str:
    """Describe one step."""
    return "; ".join(step_parts(step))


def step_parts(step: Step) -> Iterator[str]:
    """Describe what a step does, then when, and what follows."""
    yield from _OF_TYPES[step["type"]](step)
    if step["if"]:
        yield f"only if {' and '.join(map(condition_words, step['if']))}"
    if step["on_failure"] in _AFTER_FAILURE:
        yield _AFTER_FAILURE[step["on_failure"]]


def _http(step: Step) -> Iterator[str]:
    yield f"{step['request']['method']} {cut(step['request']['url'])}"
    if poll := step["poll"]:
        until = " and ".join(map(assertion_words, poll["until"]))
        every, most = seconds_words(poll["every_seconds"]), seconds_words(poll["timeout_seconds"])
        yield f"again every {every} until {until}, for at most {most}"


def _delay(step: Step) -> Iterator[str]:
    yield f"wait until {cut(step['until'])}" if step["until"] else f"wait {seconds_words(step['seconds'] or 0)}"


def _webhook(step: Step) -> Iterator[str]:
    preset = step["verify"]["preset"]
    yield f"wait for a request{'' if preset == 'none' else f', verified by {SENDERS.get(preset, preset)}'}"
    if step["accept"]:
        yield f"taken if {' and '.join(map(condition_words, step['accept']))}"
    yield _limit(step)


def _approval(step: Step) -> Iterator[str]:
    people = f"{step['required']} people of " if step["required"] > 1 else ""
    yield f"approval by {people}{cut(', '.join(step['approvers'])) or 'who may run the job'}"
    if step["message"]:
        yield f"asks {cut(step['message'])}"
    yield _limit(step)


def _limit(step: Step) -> str:
    return f"at most {seconds_words(step['timeout_seconds'])}, {_AFTER_WAIT.get(step['on_timeout'], '')}"


_OF_TYPES = {"http": _http, "delay": _delay, "webhook": _webhook, "approval": _approval}
