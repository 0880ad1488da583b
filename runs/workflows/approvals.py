"""People's decisions on what a workflow waits for. The lock of the execution's row makes each count once."""

import datetime
import json
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.db import connection, transaction

from accounts import audit
from accounts.actors import Actor, ActorKind
from accounts.models import Membership, Role, Workspace
from core import exact_json
from core.differences import difference
from core.errors import ConflictError, HourhandError
from core.failpoints import failpoint
from jobs.definition.workflow.contract import ApprovalStep, FormField
from runs.failures import FailureReason
from runs.models import Execution, StepState
from runs.postgres_text import storable_json
from runs.states import StepStatus, WaitKind
from runs.workflows.resume import go_on, step_at

MAX_NOTE_CHARACTERS = 2000
_MAX_TEXT_CHARACTERS = 4000
_RANKS = (Role.VIEWER, Role.MEMBER, Role.ADMIN, Role.OWNER)


class NotWaitingForApprovalError(ConflictError):
    code = "not_waiting_for_approval"


class AlreadyDecidedError(ConflictError):
    code = "already_decided"


class NotAnApproverError(HourhandError):
    code = "not_an_approver"
    status = 403


class InvalidApprovalFormError(HourhandError):
    code = "invalid"


class ApprovalChoice(NamedTuple):
    """What a person says: yes or no, with a note and the fields of the step's form."""

    approves: bool
    note: str = ""
    form: Mapping[str, Any] = {}

    @property
    def word(self) -> str:
        return "approved" if self.approves else "rejected"


@transaction.atomic
def decide(
    *,
    workspace: Workspace,
    execution_id: uuid.UUID,
    step: str | None,
    choice: ApprovalChoice,
    actor: Actor,
    now: datetime.datetime,
) -> Execution:
    """Approve or reject what an execution waits for; `step` guards against deciding on another than was seen.

    The last approval that is required lets the workflow go on; one rejection ends the wait. Raises
    NotWaitingForApprovalError, AlreadyDecidedError, NotAnApproverError and InvalidApprovalFormError, and
    Execution.DoesNotExist.
    """
    execution: Execution = (
        Execution.objects.of(workspace)
        .select_for_update(no_key=True, of=("self",))
        .select_related("job_version", "job")
        .get(pk=execution_id)
    )
    state = _waiting(execution, step)
    definition = step_at(execution.job_version.config, str(execution.environment_id), _position(execution, state))
    if not isinstance(definition, ApprovalStep):
        raise NotWaitingForApprovalError("This release can't read the step that it waits at.")
    _refuse_stranger(definition, execution, actor)
    _refuse_second(state, actor)
    form = _checked(definition.form, choice.form) if choice.approves else {}
    choice = choice._replace(form=form)
    _record(execution=execution, state=state, step=definition, choice=choice, actor=actor, now=now)
    failpoint("approval.written")
    execution.refresh_from_db()
    return execution


def may_decide(approvers: list[str], *, actor: Actor, role: str | None) -> bool:
    """Whether a person is among the approvers of a step. Without any, whoever may run jobs is; keys are no people."""
    if not approvers:
        return True
    if actor.user is None:
        return False
    return not names_of(actor.user, role).isdisjoint(approvers)


def names_of(user: Any, role: str | None) -> set[str]:
    """The entries of a step's `approvers` that mean a person with this role, which has those below it.

    `user` is None for a key.
    """
    names = set() if user is None else {f"user:{user.get_username()}"}
    if role in _RANKS:
        names |= {f"role:{lower.value}" for lower in _RANKS[: _RANKS.index(Role(role)) + 1]}
    return names


def _waiting(execution: Execution, step: str | None) -> StepState:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    states = StepState.objects.filter(execution=execution)
    waiting = states.filter(status=StepStatus.WAITING, wait_kind=WaitKind.APPROVAL).first()
    if waiting is None or (step is not None and waiting.step != step):
        raise _not_waiting(execution, states.filter(step=step).first() if step else None)
    if waiting.wait_expires_at is not None and waiting.wait_expires_at <= now:
        raise NotWaitingForApprovalError(f"The time to decide on {waiting.step} is over.")
    return waiting


def _not_waiting(execution: Execution, state: StepState | None) -> HourhandError:
    if state is not None and state.resolved_how in ("approved", "rejected"):
        return AlreadyDecidedError(f"{state.resolved_by} has {state.resolved_how} {state.step} already.")
    return NotWaitingForApprovalError(f"The execution is {execution.status} and waits for no approval.")


def _position(execution: Execution, state: StepState) -> int:
    """The position of a step by its id: overrides of environments never change the order."""
    workflow = execution.job_version.config["workflow"]
    ids = [step["id"] for step in [*workflow["steps"], *workflow["finally"]]]
    return ids.index(state.step)


def _refuse_stranger(step: ApprovalStep, execution: Execution, actor: Actor) -> None:
    role = None
    if actor.user is not None:
        members = Membership.objects.filter(workspace=execution.workspace_id, user=actor.user)
        role = members.values_list("role", flat=True).first()
    if not may_decide(list(step.approvers), actor=actor, role=role):
        names = ", ".join(step.approvers)
        raise NotAnApproverError(f"Only {names} may decide on {step.id}.")
    started_by = (execution.state or {}).get("started_by")
    if not step.self_approval and started_by is not None and started_by == actor.id:
        raise NotAnApproverError(f"Who started the execution may not decide on {step.id}.")


def _refuse_second(state: StepState, actor: Actor) -> None:
    if actor.kind is not ActorKind.SYSTEM and any(earlier["by_id"] == actor.id for earlier in state.decisions):
        raise AlreadyDecidedError(f"You have approved {state.step} already; others have to, too.")


def _checked(fields: tuple[FormField, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the step's form. Raises InvalidApprovalFormError, naming the field."""
    known = {field.name: field for field in fields}
    for name in given:
        if name not in known:
            raise InvalidApprovalFormError(f"The step's form has no field {name[:80]}.", field=f"form.{name[:80]}")
    return {name: _value(field, given.get(name)) for name, field in known.items()}


def _value(field: FormField, value: Any) -> Any:
    where = f"form.{field.name}"
    if value in (None, ""):
        if field.required:
            raise InvalidApprovalFormError(f"{field.label} is required.", field=where)
        return None
    kinds: dict[str, tuple[type, ...]] = {"text": (str,), "choice": (str,), "boolean": (bool,), "number": (int, float)}
    if not isinstance(value, kinds[field.type]) or (field.type == "number" and isinstance(value, bool)):
        raise InvalidApprovalFormError(f"{field.label} should be a {field.type}.", field=where)
    if field.type == "choice" and value not in field.options:
        raise InvalidApprovalFormError(f"{field.label} should be one of {', '.join(field.options)}.", field=where)
    if isinstance(value, str) and len(value) > _MAX_TEXT_CHARACTERS:
        raise InvalidApprovalFormError(
            f"{field.label} is longer than {_MAX_TEXT_CHARACTERS:,} characters.", field=where
        )
    return value


def _record(
    *,
    execution: Execution,
    state: StepState,
    step: ApprovalStep,
    choice: ApprovalChoice,
    actor: Actor,
    now: datetime.datetime,
) -> None:
    """Keep the decision, and end the wait if it is enough."""
    note = choice.note[:MAX_NOTE_CHARACTERS]
    decision = {
        "by": actor.label, "by_id": actor.id, "how": choice.word, "note": note, "form": dict(choice.form),
        "at": now.isoformat(),
    }  # fmt: skip
    state.decisions = json.loads(storable_json([*state.decisions, decision]))
    approvals = sum(earlier["how"] == "approved" for earlier in state.decisions)
    ends = not choice.approves or approvals >= step.required
    if ends:
        _end(state, choice, note, actor)
    state.save()
    audit.record(f"execution.{choice.word}", execution, actor=actor, now=now, changes=_changes(state.step, note))
    if ends:
        with connection.cursor() as cursor:
            go_on(cursor, execution.pk, str(execution.workspace_id), state.step, now=_database_now(cursor))


def _end(state: StepState, choice: ApprovalChoice, note: str, actor: Actor) -> None:
    with connection.cursor() as cursor:
        state.finished_at = _database_now(cursor)
    state.resolved_by, state.resolved_how = actor.label[:200], choice.word
    state.output = {"status": choice.word, "headers": {}, "body": _answer(state, choice, note, actor)}
    if choice.approves:
        state.status = StepStatus.SUCCEEDED
    else:
        state.status, state.failure_reason = StepStatus.FAILED, FailureReason.REJECTED
        state.error = f"Rejected by {actor.label}{': ' if note else '.'}{note}"


def _answer(state: StepState, choice: ApprovalChoice, note: str, actor: Actor) -> str:
    """What later steps may name: `{{steps.ID.json.form.NAME}}`."""
    people = [earlier["by"] for earlier in state.decisions]
    return exact_json.compact({"by": actor.label, "people": people, "note": note, "form": dict(choice.form)})


def _changes(step: str, note: str) -> Any:
    return difference({}, {"step": step, **({"note": note} if note else {})})


def _database_now(cursor: Any) -> datetime.datetime:
    cursor.execute("SELECT clock_timestamp()")
    instant: datetime.datetime = cursor.fetchone()[0]
    return instant
