"""A workflow as workers use it: its steps in order, frozen and typed, from a JobVersion's `config`. Pure."""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jobs.definition.assertions import Assertion
from jobs.definition.conditions import Condition
from jobs.definition.contract import JobDefinition
from jobs.definition.json_paths import CompiledPath
from jobs.definition.templates import Template
from jobs.definition.webhook_signatures import Preset

MAX_STEPS = 50
MAX_FINALLY = 5
MAX_EXTRACTED = 20
#: The most runs of one execution, of all its steps together.
MAX_RUNS = 1000
#: The most bytes that one step's result takes in the database, and all of an execution's.
MAX_RESULT_BYTES = 64 * 1024
MAX_RESULTS_BYTES = 512 * 1024
MAX_WAIT_SECONDS = 366 * 24 * 3600
FINALLY_SECONDS = 600


class StepType(enum.StrEnum):
    """What a step does."""

    HTTP = "http"
    DELAY = "delay"
    WEBHOOK = "webhook"
    APPROVAL = "approval"


class OnFailure(enum.StrEnum):
    """What follows a step that failed: the workflow fails, goes on, or ends here as a success."""

    FAIL = "fail"
    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What all steps have. `position` counts from 0 through the steps and then `finally`: tokens contain it.

    The step is skipped unless all `conditions` hold.
    """

    id: str
    position: int
    conditions: tuple[Condition, ...] = ()
    written_conditions: tuple[Mapping[str, Any], ...] = ()
    on_failure: OnFailure = OnFailure.FAIL


@dataclass(frozen=True, slots=True)
class Extraction:
    """A value to take from a response's JSON. `default` is MISSING where its absence fails the step."""

    name: str
    path: CompiledPath
    default: Any
    secret: bool


@dataclass(frozen=True, slots=True)
class Poll:
    """Call again every `every_seconds` until all assertions hold, for at most `timeout_seconds`."""

    until: tuple[Assertion, ...]
    every_seconds: int
    timeout_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpStep(Step):
    """An HTTP call, as of a job. `kept_headers` are those of its response that other steps name, in lower case."""

    call: JobDefinition
    extract: tuple[Extraction, ...] = ()
    poll: Poll | None = None
    kept_headers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayStep(Step):
    """A pause: for `seconds`, or until the instant that `until` renders."""

    seconds: int | None
    until: Template | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitStep(Step):
    """What a webhook and an approval share: the wait's limit, and whether the workflow goes on when it is reached."""

    timeout_seconds: int
    continues_on_timeout: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookStep(WaitStep):
    """A wait for a request to the step's own URL. `accept` must hold on its body; `kept_headers` as of HttpStep."""

    preset: Preset
    secret_name: str | None
    header: str | None
    accept: tuple[Condition, ...] = ()
    written_accept: tuple[Mapping[str, Any], ...] = ()
    kept_headers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FormField:
    """A field that who approves fills in. `type`: text, number, boolean, or choice with `options`."""

    name: str
    label: str
    type: str
    required: bool
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalStep(WaitStep):
    """A wait for `required` people. `approvers`: role:NAME or user:NAME; empty: who may run the job."""

    message: Template | None
    approvers: tuple[str, ...]
    required: int
    self_approval: bool
    form: tuple[FormField, ...] = ()


AnyStep = HttpStep | DelayStep | WebhookStep | ApprovalStep


@dataclass(frozen=True)
class WorkflowDefinition:
    """What a worker needs of a workflow. `output` is a JSON value whose texts may hold variables; None: the last
    step's answer. `timeout_seconds` bounds all of it but `finally_steps`.
    """

    name: str
    steps: tuple[AnyStep, ...]
    finally_steps: tuple[HttpStep, ...]
    output: Any
    timeout_seconds: int
    concurrency: int | None
    has_callback: bool = False

    @cached_property
    def by_id(self) -> Mapping[str, AnyStep]:
        return {step.id: step for step in self.all_steps}

    @property
    def all_steps(self) -> Iterator[AnyStep]:
        """The steps by position."""
        yield from self.steps
        yield from self.finally_steps

    def ends_with(self, step: AnyStep) -> bool:
        """Whether the workflow is over once this step has succeeded."""
        return step.position == len(self.steps) - 1 and not self.finally_steps

    def following(self, step: AnyStep) -> str:
        """The id of the step at the next position; of the last one its own."""
        steps = list(self.all_steps)
        return steps[min(step.position + 1, len(steps) - 1)].id
