"""Every route of the API against everything that is not the caller's. The routes come from the URL conf: a new one is
covered by being there, and one that can't be tried fails here and says what is missing.
"""

import functools
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from drf_spectacular.generators import SchemaGenerator

from accounts.actors import SYSTEM
from accounts.models import ApiKey, Environment, Membership, Scope, Workspace
from accounts.secrets import create_secret
from accounts.services import create_workspace
from api.accounts.permissions import NO_SCOPE
from api.base.views import ApiView
from jobs.models import Job, JobEnvironment, RetryPolicy
from jobs.services.save import save_job
from runs.models import BulkOperation, Callback, Execution
from tests.support.api_caller import NOW, Caller, caller, make_execution, make_run
from tests.support.api_routes import BASE, OPEN, ROUTES, Route, api_patterns
from tests.support.jobs import job_config

pytestmark = pytest.mark.django_db
#: Objects of the whole workspace: a key bound to environments may read them, but not change them.
SHARED = frozenset({"policy", "member"})
#: The errors that name the binding of a key.
BOUND = frozenset({"environment_bound", "broader_than_caller"})
#: Objects that a path can also name by slug.
SLUGS = frozenset({"job", "policy"})


def each(wanted: Callable[[Route], bool] = lambda _route: True) -> Any:
    return pytest.mark.parametrize("route", [route for route in ROUTES if wanted(route)], ids=str)


every_route = each()
with_a_name = each(lambda route: bool(route.names))
with_a_body = each(lambda route: route.method in {"POST", "PUT", "PATCH"})


# -- something of everything, in a workspace ---------------------------------------------------------------------------


def _callback(execution: Execution) -> Callback:
    return Callback.objects.create(
        workspace_id=execution.workspace_id,
        job_id=execution.job_id,
        environment_id=execution.environment_id,
        execution=execution,
        event="execution.finished",
        sequence=1,
        status="failed",
        attempts=5,
        attempt_limit=5,
        created_at=NOW,
        finished_at=NOW,
    )


@dataclass(frozen=True)
class WorkspaceObjects:
    """A workspace with one of everything that a path can name; objects of an environment are in `production`."""

    workspace: Workspace
    state: JobEnvironment

    @functools.cached_property
    def values(self) -> dict[str, str]:
        execution = make_execution(self.state, status="failed", failure_reason="timeout")
        production = self.workspace.environments.get(slug="production")
        policy = RetryPolicy.objects.create(workspace=self.workspace, slug="patient", name="Patient", **RULES)
        secret = create_secret(
            workspace=self.workspace, environment=production, name="TOKEN", value="a long value", now=NOW, actor=SYSTEM
        )
        operation = BulkOperation.objects.create(
            workspace=self.workspace, kind="cancel", filter={}, execution_ids=[execution.pk]
        )
        place = Environment.objects.create(workspace=self.workspace, slug=f"{self.workspace.slug}-place", name="Place")
        person = get_user_model().objects.create(username=f"{self.workspace.slug}-person")
        member = Membership.objects.create(workspace=self.workspace, user=person)
        key = ApiKey.objects.create(workspace=self.workspace, name="Another", digest=uuid.uuid4().hex, scopes=[])
        return {
            "job": str(self.state.job_id),
            "environment": place.slug,
            "member": str(member.pk),
            "key": str(key.pk),
            "number": "1",
            "other": "1",
            "execution": str(execution.pk),
            "run": str(make_run(execution).pk),
            "callback": str(_callback(execution).pk),
            "policy": str(policy.pk),
            "secret": str(secret.pk),
            "operation": str(operation.pk),
        }

    def path(self, route: Route) -> str:
        values = {name: self.values.get(name) or self._any(name, route) for name in route.names}
        return route.path(values)

    def _any(self, name: str, route: Route) -> str:
        """Return the workspace's row of the model behind this name, if it has one."""
        for model in apps.get_models():
            if model.__name__.lower() == name.replace("_", "") and is_of_a_workspace(model):
                row = model._default_manager.filter(workspace=self.workspace).first()
                if row is not None:
                    return str(row.pk)
        pytest.fail(f"{route}: make a {name} in Things.values, so that this route can be tried against a foreign one.")


RULES = {field: job_config()["retry"][field] for field in job_config()["retry"] if field != "policy"}


def objects_in(slug: str) -> WorkspaceObjects:
    workspace = create_workspace(slug=slug, name=slug.title())
    job = save_job(
        workspace=workspace, job=None, slug=f"{slug}-job", config=job_config(), environments=None, now=NOW, actor=SYSTEM
    )
    state = JobEnvironment.objects.select_related("job__current_version", "environment").get(job=job)
    return WorkspaceObjects(workspace, state)


@pytest.fixture
def theirs(db: None) -> WorkspaceObjects:
    found = objects_in("theirs")
    assert found.values
    return found


@pytest.fixture
def stranger(db: None) -> Caller:
    return caller(create_workspace(slug="stranger", name="Stranger"))


def is_of_a_workspace(model: Any) -> bool:
    return any(field.name == "workspace" for field in model._meta.fields)


def rows_of(workspace: Workspace) -> dict[str, list[Any]]:
    """Return everything stored for a workspace, except when its keys were last used."""
    return {
        model._meta.label: list(model._default_manager.filter(workspace=workspace).order_by("pk").values())
        for model in apps.get_models()
        if model is not ApiKey and is_of_a_workspace(model)
    }


@functools.cache
def document() -> dict[str, Any]:
    return SchemaGenerator().get_schema(request=None, public=True)


def body_for(route: Route) -> dict[str, Any] | None:
    """Return the document's example body; an empty one if it has none."""
    if route.method not in {"POST", "PUT", "PATCH"}:
        return None
    path = "/" + BASE + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route.template)
    operation = document()["paths"].get(path, {}).get(route.method.lower())
    if operation is None:
        pytest.fail(f"{route}: is not in the OpenAPI document.")
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return next((dict(example["value"]) for example in content.get("examples", {}).values()), {})


def content_of(answer: Any) -> bytes:
    """Return an answer's content; of a stream, its beginning: other tests read the rest."""
    if not answer.streaming:
        return answer.content
    try:
        return next(iter(answer))
    finally:
        answer.close()


# -- the borders -------------------------------------------------------------------------------------------------------


def test_the_routes_are_found() -> None:
    assert len(ROUTES) >= 31


def test_every_path_of_the_api_is_a_view_that_checks_its_caller() -> None:
    for path, view in api_patterns():
        if path not in OPEN:
            found = getattr(view, "cls", None)
            assert found is not None, f"{path}: is no class of view"
            assert issubclass(found, ApiView), f"{path}: is no ApiView, so nothing checks its key, scope and parameters"


@every_route
def test_a_missing_or_wrong_key_is_refused(route: Route, theirs: WorkspaceObjects) -> None:
    path = theirs.path(route)
    before = rows_of(theirs.workspace)
    for client, code in ((Caller(), "not_authenticated"), (Caller("hh_wrong"), "key_unknown")):
        assert client.ask(route.method, path, body_for(route), expect=401)["code"] == code
    assert rows_of(theirs.workspace) == before


@every_route
@pytest.mark.parametrize("how", ["expired", "revoked"])
def test_an_expired_or_revoked_key_is_refused(route: Route, theirs: WorkspaceObjects, how: str) -> None:
    over = caller(theirs.workspace)
    column = "expires_at" if how == "expired" else "revoked_at"
    ApiKey.objects.filter(workspace=theirs.workspace).update(**{column: NOW})
    before = rows_of(theirs.workspace)
    assert over.ask(route.method, theirs.path(route), body_for(route), expect=401)["code"] == f"key_{how}"
    assert rows_of(theirs.workspace) == before


@each(lambda route: route.scope != NO_SCOPE)
def test_a_missing_scope_is_named(route: Route, theirs: WorkspaceObjects) -> None:
    needed = route.scope
    lacking = caller(theirs.workspace, scopes=[scope for scope in Scope if scope != needed])
    before = rows_of(theirs.workspace)
    refusal = lacking.ask(route.method, theirs.path(route), body_for(route), expect=403)
    assert refusal["code"] == "scope_missing"
    assert needed in refusal["detail"]
    assert rows_of(theirs.workspace) == before


@each(lambda route: bool(SLUGS.intersection(route.names)))
def test_another_workspaces_objects_are_not_found_by_slug(
    route: Route, theirs: WorkspaceObjects, stranger: Caller
) -> None:
    slugs = {"job": "theirs-job", "policy": "patient"}
    path = route.path({name: slugs.get(name) or theirs.values[name] for name in route.names})
    before = rows_of(theirs.workspace)
    refusal = stranger.ask(route.method, path, body_for(route))
    # A PUT creates the stranger's own: slugs are unique per workspace.
    assert refusal.get("status") == 404 or route.method == "PUT", refusal
    assert rows_of(theirs.workspace) == before


@with_a_name
def test_another_workspaces_objects_are_not_found(route: Route, theirs: WorkspaceObjects, stranger: Caller) -> None:
    path = theirs.path(route)
    before = rows_of(theirs.workspace)
    stranger.ask(route.method, path, body_for(route), expect=404)
    assert rows_of(theirs.workspace) == before


@each(lambda route: route.method == "GET" and not route.names)
def test_lists_contain_nothing_of_another_workspace(route: Route, theirs: WorkspaceObjects, stranger: Caller) -> None:
    answer = stranger.get(f"/api/v1{theirs.path(route)}")
    assert answer.status_code == 200
    told = content_of(answer)
    named = {value for value in theirs.values.values() if len(value) > 1}
    assert not [value for value in named if value.encode() in told]


@each(lambda route: bool(route.names) and not SHARED.intersection(route.names))
def test_a_key_of_another_environment_finds_nothing(route: Route, theirs: WorkspaceObjects) -> None:
    elsewhere = Environment.objects.create(workspace=theirs.workspace, slug="elsewhere", name="Elsewhere")
    bound, path = caller(theirs.workspace, environments=[elsewhere]), theirs.path(route)
    before = rows_of(theirs.workspace)
    refusal = bound.ask(route.method, path, body_for(route))
    assert refusal["status"] == 404 or refusal["code"] in BOUND, refusal
    assert rows_of(theirs.workspace) == before


@each(lambda route: bool(SHARED.intersection(route.names)) and route.method != "GET")
def test_a_bound_key_can_not_change_shared_objects(route: Route, theirs: WorkspaceObjects) -> None:
    production = theirs.workspace.environments.get(slug="production")
    bound, path = caller(theirs.workspace, environments=[production]), theirs.path(route)
    before = rows_of(theirs.workspace)
    assert bound.ask(route.method, path, body_for(route), expect=403)["code"] in BOUND
    assert rows_of(theirs.workspace) == before


@each(lambda route: route.method == "GET" and not route.names)
def test_lists_contain_nothing_of_another_environment(route: Route, theirs: WorkspaceObjects) -> None:
    elsewhere = Environment.objects.create(workspace=theirs.workspace, slug="elsewhere", name="Elsewhere")
    answer = caller(theirs.workspace, environments=[elsewhere]).get(f"/api/v1{theirs.path(route)}")
    assert answer.status_code in {200, 403}
    told = content_of(answer)
    named = {theirs.values[name] for name in ("job", "execution", "run", "secret")}
    assert not [value for value in named if value.encode() in told]


@every_route
def test_an_unknown_parameter_is_refused_and_named(route: Route, theirs: WorkspaceObjects) -> None:
    mine, path = caller(theirs.workspace), f"{theirs.path(route)}?no_such_parameter=1"
    before = rows_of(theirs.workspace)
    named = mine.refused(route.method, path, body_for(route))
    assert named["no_such_parameter"] == "unknown_parameter"
    assert rows_of(theirs.workspace) == before


@with_a_body
def test_an_unknown_field_is_refused_and_named(route: Route, theirs: WorkspaceObjects) -> None:
    mine, body = caller(theirs.workspace), {**(body_for(route) or {}), "no_such_field": 1}
    path = theirs.path(route)
    before = rows_of(theirs.workspace)
    assert mine.refused(route.method, path, body)["no_such_field"] == "unknown_field"
    assert rows_of(theirs.workspace) == before


@with_a_name
def test_an_unknown_name_is_not_found(route: Route, stranger: Caller) -> None:
    values = {name: "1" if name == "number" else str(uuid.uuid4()) for name in route.names}
    stranger.ask(route.method, route.path(values), body_for(route), expect=404)
    assert not Job.objects.exists()
