"""API keys through the API: shown once, changed, revoked, and never broader than their creator."""

import datetime
import itertools
from typing import Any

import pytest

from accounts.actors import SYSTEM
from accounts.api_keys import issue_key
from accounts.models import ApiKey, AuditEntry, Environment, Workspace
from accounts.services import create_workspace
from jobs.services.environments import delete_environment
from tests.support.api_caller import Caller, caller, make_execution
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db
SOON = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(days=1)
LATER = SOON + datetime.timedelta(days=1)
SCOPES = ["jobs:read", "admin"]


def text(at: datetime.datetime | None) -> str | None:
    return at and at.isoformat()


@pytest.fixture
def staging(workspace: Workspace) -> Environment:
    return Environment.objects.create(workspace=workspace, slug="staging", name="Staging")


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def make(api: Caller, *, expect: int = 201, **fields: Any) -> Any:
    return api.ask("POST", "/keys/", {"name": "Deploys", "scopes": ["jobs:read"], **fields}, expect=expect)


def test_a_key_is_shown_once_and_works(api: Caller, staging: Environment) -> None:
    made = make(api, environments=["staging"], expires_at=text(SOON))
    key = made.pop("key")
    assert key.startswith(made["prefix"])
    assert (made["environments"], made["scopes"], made["last_used_at"]) == (["staging"], ["jobs:read"], None)
    assert [row["slug"] for row in Caller(key).ask("GET", "/environments/", expect=200)["results"]] == ["staging"]
    shown = api.ask("GET", f"/keys/{made['id']}/", expect=200)
    assert shown.pop("last_used_at") is not None
    assert shown == {name: value for name, value in made.items() if name != "last_used_at"}
    assert key not in str(api.ask("GET", "/keys/", expect=200)) + str(list(ApiKey.objects.values()))


def test_a_key_created_by_a_key_names_no_person(api: Caller) -> None:
    assert make(api)["created_by"] is None


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"scopes": []}, {"scopes": "min_length"}),
        ({"scopes": ["jobs:destroy"]}, {"scopes.0": "invalid_choice"}),
        ({"environments": []}, {"environments": "min_length"}),
        ({"environments": ["nowhere"]}, {"environments.0": "environment_unknown"}),
        ({"environments": ["theirs"]}, {"environments.0": "environment_unknown"}),
        ({"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at": "past"}),
        ({"name": ""}, {"name": "blank"}),
        ({"expires": None}, {"expires": "unknown_field"}),
        ({"prefix": "hh_mine"}, {}),
    ],
)
def test_a_wrong_key_is_refused(api: Caller, fields: dict[str, Any], wrong: dict[str, str]) -> None:
    Environment.objects.create(workspace=create_workspace(slug="other", name="Other"), slug="theirs")
    if not wrong:
        assert make(api, **fields)["prefix"] != fields["prefix"]
        return
    body = {"name": "Deploys", "scopes": ["jobs:read"], **fields}
    assert api.refused("POST", "/keys/", body) == wrong
    assert ApiKey.objects.count() == 1


def test_a_revoked_key_is_refused_at_once_and_listed_separately(api: Caller) -> None:
    made = make(api)
    api.ask("DELETE", f"/keys/{made['id']}/", expect=204)
    assert Caller(made["key"]).ask("GET", "/jobs/", expect=401)["code"] == "key_revoked"
    for method, body in (("GET", None), ("PATCH", {"name": "Back"}), ("DELETE", None)):
        api.ask(method, f"/keys/{made['id']}/", body, expect=404)
    assert made["id"] not in [row["id"] for row in api.ask("GET", "/keys/")["results"]]
    (revoked,) = api.ask("GET", "/keys/?revoked=true", expect=200)["results"]
    assert (revoked["id"], revoked["revoked_at"] is not None) == (made["id"], True)


def test_a_change_affects_only_the_named_fields(api: Caller, staging: Environment) -> None:
    made = make(api, environments=["staging"], expires_at=text(SOON), scopes=["jobs:read", "jobs:write"])
    path = f"/keys/{made['id']}/"
    narrowed = api.ask("PATCH", path, {"scopes": ["jobs:read"]}, expect=200)
    assert narrowed == {**{name: made[name] for name in narrowed}, "scopes": ["jobs:read"]}
    assert api.ask("PATCH", path, {"environments": ["production"]})["environments"] == ["production"]
    widened = api.ask("PATCH", path, {"environments": None, "expires_at": None, "name": "All"}, expect=200)
    assert (widened["environments"], widened["expires_at"], widened["name"]) == (None, None, "All")
    Caller(made["key"]).ask("GET", "/jobs/", expect=200)
    changes = AuditEntry.objects.filter(action="key.updated").order_by("at", "id").last().changes  # type: ignore[union-attr]
    assert changes["environments"] == [["production"], None]
    assert set(changes) == {"name", "environments", "expires_at"}


def every_limit(staging: Environment) -> list[dict[str, Any]]:
    """Administrative keys: each combination of scopes, environments and expiry."""
    scopes = (["admin"], SCOPES)
    return [
        {"scopes": some, "environments": places, "expires_at": at}
        for some, places, at in itertools.product(scopes, (None, [staging]), (None, SOON))
    ]


def test_no_key_creates_or_becomes_a_broader_one(workspace: Workspace, staging: Environment) -> None:
    """For every grant and request: a request within the grant succeeds, any other changes nothing."""
    wishes = list(itertools.product((["admin"], SCOPES), (None, ["staging"], ["production"]), (None, SOON, LATER)))
    victim = issue_key(
        workspace=workspace, name="v", scopes=["agents"], environments=[staging], expires_at=SOON, actor=SYSTEM
    ).row
    for limit, (scopes, places, expires_at) in itertools.product(every_limit(staging), wishes):
        api = caller(workspace, **limit)
        allowed = (
            set(scopes) <= set(limit["scopes"])
            and (limit["environments"] is None or places == ["staging"])
            and (limit["expires_at"] is None or (expires_at is not None and expires_at <= limit["expires_at"]))
        )
        wish = {"scopes": scopes, "environments": places, "expires_at": text(expires_at)}
        made = api.ask("POST", "/keys/", {"name": "x", **wish})
        changed = api.ask("PATCH", f"/keys/{victim.pk}/", wish)
        if allowed:
            assert "key" in made, (limit, wish)
            assert changed["scopes"] == sorted(scopes)
            ApiKey.objects.filter(pk=victim.pk).update(scopes=["agents"], is_bound=True, expires_at=SOON)
            victim.environments.set([staging])
        else:
            codes = {"broader_than_caller"} if places != ["production"] else {"broader_than_caller", "invalid"}
            assert {made["code"], changed["code"]} <= codes, (limit, wish)
            victim.refresh_from_db()
            assert (victim.scopes, victim.is_bound, victim.expires_at) == (["agents"], True, SOON)


def test_a_broader_key_may_be_narrowed_but_not_moved(workspace: Workspace, staging: Environment) -> None:
    broad = issue_key(workspace=workspace, name="broad", scopes=["jobs:read", "jobs:write"], actor=SYSTEM).row
    api = caller(workspace, scopes=["admin"])
    path = f"/keys/{broad.pk}/"
    assert api.ask("PATCH", path, {"environments": ["staging"]}, expect=200)["environments"] == ["staging"]
    assert api.ask("PATCH", path, {"environments": ["production"]}, expect=403)["code"] == "broader_than_caller"
    assert api.ask("PATCH", path, {"scopes": ["jobs:read", "executions:read"]}, expect=403)["status"] == 403
    api.ask("PATCH", path, {"name": "narrow"}, expect=200)


def test_a_bound_key_sees_only_keys_within_its_environments(workspace: Workspace, staging: Environment) -> None:
    production = workspace.environments.get(slug="production")
    for name, places in (("all", None), ("both", [production, staging]), ("staging", [staging])):
        issue_key(workspace=workspace, name=name, scopes=["jobs:read"], environments=places, actor=SYSTEM)
    api = caller(workspace, environments=[staging])
    assert {row["name"] for row in api.ask("GET", "/keys/")["results"]} == {"staging", "test"}
    for row in ApiKey.objects.filter(name__in=["all", "both"]):
        api.ask("DELETE", f"/keys/{row.pk}/", expect=404)


class TestKeyOfDeletedEnvironments:
    @pytest.fixture
    def key_without_environments(self, workspace: Workspace, staging: Environment) -> Caller:
        found = caller(workspace, environments=[staging])
        delete_environment(environment=staging, now=SOON, actor=SYSTEM)
        return found

    def test_has_no_access(self, key_without_environments: Caller, make_job: MakeJob) -> None:
        execution = make_execution(make_job())
        for path in ("/jobs/", "/environments/", "/executions/", "/runs/", "/secrets/"):
            assert key_without_environments.ask("GET", path, expect=200)["results"] == [], path
        key_without_environments.ask("GET", "/jobs/nightly-report/", expect=404)
        key_without_environments.ask("POST", "/jobs/nightly-report/run/", expect=404)
        key_without_environments.ask("GET", f"/executions/{execution.pk}/", expect=404)

    def test_can_not_create_a_key_with_access(self, key_without_environments: Caller) -> None:
        assert make(key_without_environments, expect=403)["code"] == "broader_than_caller"
        make(key_without_environments, environments=["production"], expect=400)

    def test_is_shown_without_environments_and_stays_so_when_renamed(
        self, key_without_environments: Caller, api: Caller
    ) -> None:
        path = f"/keys/{ApiKey.objects.get(is_bound=True).pk}/"
        assert api.ask("PATCH", path, {"name": "Stranded"}, expect=200)["environments"] == []
        assert key_without_environments.ask("GET", "/environments/")["results"] == []
