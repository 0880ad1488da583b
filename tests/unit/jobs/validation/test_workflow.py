"""Workflows as they are saved: whatever is valid is stored, read and shown without loss; nothing else raises."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from accounts.models import Workspace
from api.jobs.exporting import sparse_definition
from core import exact_json
from jobs.definition.overrides import merged
from jobs.definition.reading import PARTS, UNREADABLE, presentable, problem_of, runnable_of
from jobs.definition.workflow.contract import WorkflowDefinition
from jobs.definition.workflow.parts import BLANK, STEP_PARTS
from jobs.imports.formats import FORMATS
from jobs.imports.yaml import yaml_text
from jobs.validation.definition import DefinitionSerializer
from jobs.validation.overrides import Overrides, checked_overrides
from jobs.validation.representation import SECTION_FIELDS, STEP_FIELDS, WORKFLOW_FIELDS, represent_definition
from tests.support.jobs import EPOCH, job_config
from tests.support.workflow_jobs import URL, every_kind_of_step, http_step, stored_definition, workflow_job

CONTEXT = {"workspace": Workspace(), "now": EPOCH}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SECONDS = st.integers(1, 31_622_400)
ID = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
_CHARACTERS = st.characters(codec="utf-8", exclude_characters="{}", exclude_categories=["C"])
WORD = st.text(_CHARACTERS, min_size=1, max_size=8).map(str.strip).filter(bool)
PATH = st.sampled_from(["$", "$.id", "$.items[0].name", "$..id"])
ASSERTION = st.sampled_from(
    [
        {"type": "status_equals", "value": 204},
        {"type": "json_path_equals", "path": "$.state", "value": ["done"]},
        {"type": "json_path_exists", "path": "$.error", "value": False},
        {"type": "response_time_under_ms", "value": 900},
    ]
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def conditions(draw: Any, variables: list[str]) -> list[dict[str, Any]]:
    operators = st.sampled_from(["equals", "not_equals", "contains", "in", "exists", "gt", "matches"])
    drawn = []
    for operator in draw(st.lists(operators, max_size=2)):
        condition = {"value": draw(st.sampled_from(variables)), "op": operator}
        values = {"in": st.lists(JSON, min_size=1, max_size=3), "gt": st.integers(), "matches": st.just("^a+$")}
        if operator != "exists":
            condition["to"] = draw(values.get(operator, WORD))
        drawn.append(condition)
    return drawn


@st.composite
def http_fields(draw: Any, variables: list[str], *, poll_seconds: int = 31_622_400) -> dict[str, Any]:
    extracted = st.one_of(
        PATH, st.fixed_dictionaries({"path": PATH}, optional={"default": JSON, "secret": st.booleans()})
    )
    names = st.from_regex(r"v_[A-Za-z0-9_]{0,6}", fullmatch=True)
    variable = draw(st.sampled_from(variables))
    return {
        "type": "http",
        "request": {
            "url": draw(st.sampled_from([URL, f"{URL}/{variable}", f"{URL}?a={variable}"])),
            **draw(
                some(
                    method=st.sampled_from(["GET", "POST", "DELETE"]),
                    headers=st.dictionaries(st.sampled_from(["X-A", "X-B"]), st.just(variable)),
                    body=st.none() | WORD | st.just({"a": [variable, 1]}),
                    timeout_seconds=st.integers(1, 300),
                )
            ),
        },
        **draw(
            some(
                success=some(statuses=st.just(["2xx", 404]), assertions=st.lists(ASSERTION, max_size=2)),
                retry=some(max_attempts=st.integers(1, 20), jitter=st.booleans(), on_statuses=st.just([500])),
                extract=st.dictionaries(names, extracted, max_size=3),
                poll=st.none()
                | st.fixed_dictionaries(
                    {"until": st.lists(ASSERTION, min_size=1, max_size=2)},
                    optional={"every_seconds": st.integers(1, 86_400), "timeout_seconds": st.integers(1, poll_seconds)},
                ),
            )
        ),
    }


@st.composite
def wait_fields(draw: Any, variables: list[str]) -> dict[str, Any]:
    kind = draw(st.sampled_from(["delay", "webhook", "approval"]))
    if kind == "delay":
        return {"type": kind, **draw(st.one_of(some(seconds=SECONDS).filter(bool), st.just({"until": variables[-1]})))}
    if kind == "webhook":
        accept = draw(conditions(["{{body}}", "{{body.a.0}}"]))
        return {"type": kind, "accept": accept, **draw(some(timeout_seconds=SECONDS, on_timeout=st.just("continue")))}
    names = st.lists(ID, unique=True, max_size=3)
    form = [
        draw(
            st.one_of(
                st.fixed_dictionaries({"name": st.just(name)}, optional={"label": WORD, "required": st.booleans()}),
                st.fixed_dictionaries(
                    {
                        "name": st.just(name),
                        "type": st.just("choice"),
                        "options": st.lists(WORD, min_size=1, max_size=3),
                    }
                ),
            )
        )
        for name in draw(names)
    ]
    approvers = st.lists(st.sampled_from(["role:admin", "role:owner", "role:member"]), max_size=3)
    more = some(
        message=st.just(f"Go on with {variables[-1]}?"), approvers=approvers, required=st.integers(1, 20),
        self_approval=st.booleans(), timeout_seconds=SECONDS, on_timeout=st.just("continue"),
    )  # fmt: skip
    return {"type": kind, "form": form, **draw(more)}


@st.composite
def workflows(draw: Any) -> dict[str, Any]:
    """Any valid workflow, as it is sent: each step names what comes before it."""
    ids = draw(st.lists(ID, min_size=1, max_size=6, unique=True))
    cut = draw(st.integers(1, len(ids)))
    variables, steps = ["{{input.a}}", "{{timestamp}}"], []
    for step_id in ids[:cut]:
        step = draw(st.one_of(http_fields(variables), wait_fields(variables)))
        common = some(**{"if": conditions(variables), "on_failure": st.sampled_from(["fail", "continue", "stop"])})
        steps.append({"id": step_id, **step, **draw(common)})
        variables += [f"{{{{steps.{step_id}.{name}}}}}" for name in ("status", "json.a", *step.get("extract", ()))]
    last = [{"id": step_id, **draw(http_fields(variables, poll_seconds=600))} for step_id in ids[cut:][:5]]
    output = st.one_of(JSON.filter(lambda value: "{{" not in json.dumps(value)), st.just({"a": variables}))
    return workflow_job(*steps, **{"finally": last}, **draw(some(output=output, timeout_seconds=SECONDS)))


def stored(config: dict[str, Any]) -> dict[str, Any]:
    """What the database gives back: JSON, the names in an order of its own."""
    return dict(exact_json.loads(json.dumps(config, sort_keys=True)))


@examples(max_examples=60)
@given(workflows())
def test_what_is_valid_is_stored_read_shown_and_exported_without_loss(sent: dict[str, Any]) -> None:
    config = stored(stored_definition(sent))
    assert presentable(config) is config
    assert problem_of(config, anchor=EPOCH) is None
    definition = runnable_of(config)
    assert isinstance(definition, WorkflowDefinition)
    assert [step.id for step in definition.steps] == [step["id"] for step in sent["workflow"]["steps"]]
    assert [step.position for step in definition.all_steps] == list(range(len(list(definition.all_steps))))
    shown = represent_definition(config)
    assert stored(stored_definition({**shown, "callback_url": None})) == config
    file = sparse_definition(shown)
    for format_name, text in (("json", json.dumps({"jobs": [file]})), ("yaml", yaml_text({"jobs": [file]}))):
        parse = FORMATS[format_name].parse or json.loads
        assert stored(stored_definition(parse(text)["jobs"][0])) == config


@pytest.mark.parametrize("place", ["workflow", "steps", "step", "finally", "request", "field"])
@examples(max_examples=60)
@given(value=JSON, kind=st.sampled_from(sorted(STEP_FIELDS)), number=st.integers(0, 20))
def test_any_json_is_valid_or_refused(place: str, value: Any, kind: str, number: int) -> None:
    fields = STEP_FIELDS[kind]
    step = {"id": "a", "type": kind, **({"request": {"url": URL}} if kind == "http" else {})}
    sent = {
        "workflow": lambda: {**workflow_job(), "workflow": value},
        "steps": lambda: {**workflow_job(), "workflow": {"steps": value}},
        "step": lambda: workflow_job(value, http_step()),
        "finally": lambda: workflow_job(**{"finally": value}),
        "request": lambda: workflow_job({**step, "request": value}),
        "field": lambda: workflow_job({**step, fields[number % len(fields)]: value}),
    }[place]()
    serializer = DefinitionSerializer(data=sent, context=CONTEXT)
    if serializer.is_valid():
        assert problem_of(stored(serializer.definition), anchor=EPOCH) is None


@examples(max_examples=20)
@given(value=JSON, field=st.sampled_from(sorted({name for fields in STEP_FIELDS.values() for name in fields})))
def test_any_override_of_a_step_is_valid_or_refused(value: Any, field: str) -> None:
    definition = stored_definition(every_kind_of_step())
    for step in definition["workflow"]["steps"]:
        for sparse in (value, {"steps": value}, {"steps": {step["id"]: {field: value}}}):
            try:
                given_overrides = Overrides().to_internal_value({"workflow": sparse})
                checked = checked_overrides(given_overrides, definition, context=CONTEXT)
            except Exception as error:
                assert type(error).__name__ == "ValidationError", error  # noqa: PT017 - any other type is the failure
            else:
                assert problem_of(stored(merged(definition, checked)), anchor=EPOCH) is None


# -- reading ---------------------------------------------------------------------------------------------------------


def test_the_reader_knows_every_field_of_a_step_and_no_other() -> None:
    """A field added to the API must be added to STEP_PARTS, or every version that has it would be unreadable."""
    assert {kind: set(parts) for kind, parts in STEP_PARTS.items()} == {
        kind: set(fields) for kind, fields in STEP_FIELDS.items()
    }
    assert set(BLANK) == set(WORKFLOW_FIELDS)
    for section, fields in SECTION_FIELDS.items():
        assert set(PARTS[section]) == set(fields), section


@given(
    field=st.sampled_from(sorted({*WORKFLOW_FIELDS, *(name for fields in STEP_FIELDS.values() for name in fields)})),
    value=JSON,
)
def test_any_value_of_a_stored_workflow_is_read_or_reported(field: str, value: object) -> None:
    config = stored_definition(every_kind_of_step())
    for number in range(len(config["workflow"]["steps"])):
        changed = copy.deepcopy(config)
        changed["workflow"]["steps"][number][field] = value
        _read_or_reported(changed)
    _read_or_reported({**config, "workflow": {**config["workflow"], field: value}})
    _read_or_reported({**config, "workflow": value})
    _read_or_reported({**config, "overrides": {"here": {"workflow": {"steps": {"create": {field: value}}}}}})
    _read_or_reported({**config, "overrides": {"here": {"workflow": {field: value}}}})


def _read_or_reported(config: dict[str, Any]) -> None:
    for environment_id in (None, "here"):
        problem = problem_of(config, environment_id=environment_id, anchor=EPOCH)
        assert problem is None or (problem.endswith(".") and len(problem) <= 300)
    shown = presentable(config)
    represent_definition(shown)
    merged(shown, shown.get("overrides", {}).get("here", {}))
    if UNREADABLE in shown:
        assert problem_of(shown, anchor=EPOCH)


def test_a_job_of_one_call_reads_as_before_and_never_as_a_workflow() -> None:
    assert presentable(job_config())["request"]["method"] == "POST"
    assert problem_of({**job_config(), "workflow": stored_definition(workflow_job())["workflow"]}, anchor=EPOCH)
    assert problem_of({**stored_definition(workflow_job()), "kind": "http"}, anchor=EPOCH)
    assert problem_of({**stored_definition(workflow_job()), "request": job_config()["request"]}, anchor=EPOCH)


def test_a_type_of_step_of_another_release_is_named() -> None:
    config = stored_definition(workflow_job())
    config["workflow"]["steps"][0]["type"] = "parallel"
    assert problem_of(config, anchor=EPOCH) == (
        'workflow.steps.0.type is "parallel", which this release does not support.'
    )
    assert presentable(config)["workflow"] == BLANK
