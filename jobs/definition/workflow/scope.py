"""Which variables a template may use at its place in a workflow. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from jobs.definition.facts import BODY, STEP_PROPERTIES, STEPS


@dataclass(frozen=True, slots=True)
class TemplateScope:
    """Where a template stands. A job's own request has the empty scope.

    `earlier`: by id the steps that come before, with what each extracts. `waits`: the ids of all webhook and approval
    steps, whose URLs exist from the start. `has_body`: the body of a request is there, for `accept`.
    """

    earlier: Mapping[str, Collection[str]] = field(default_factory=dict)
    waits: Collection[str] = ()
    has_body: bool = False


#: The scope of a job without a workflow.
PLAIN = TemplateScope()


def out_of_scope(variables: Iterable[str], scope: TemplateScope) -> str | None:
    """Say which variable has no meaning at this place, and what has; None if all have one."""
    return next((problem for variable in sorted(variables) if (problem := _problem(variable, scope))), None)


def _problem(variable: str, scope: TemplateScope) -> str | None:
    if variable.partition(".")[0] == BODY:
        return None if scope.has_body else f"{{{{{variable}}}}} is known in accept only."
    if not variable.startswith(STEPS):
        return None
    _, step, name, *_ = variable.split(".")
    if name == "resume_url":
        return None if step in scope.waits else f"{step} is no webhook or approval step: only these have a resume_url."
    if step not in scope.earlier:
        earlier = ", ".join(scope.earlier) or "none"
        return f"No step {step} comes before this place. The earlier steps: {earlier}."
    if name in STEP_PROPERTIES or name in scope.earlier[step]:
        return None
    extracted = ", ".join([*STEP_PROPERTIES, *scope.earlier[step]])
    return f"The step {step} has no {name}. It has {extracted}."
