"""No value anywhere in a job causes an internal error: it is accepted, or refused by name."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Workspace
from api.jobs.serializers import JobSerializer
from jobs.validation.representation import SECTION_FIELDS
from tests.support.api_caller import JOB, Caller, caller

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
    | st.sampled_from(["now", "@daily", "9999-12-31T23:59:59-14:00", "* * * * *", "2xx", "list", "0 0 30 2 *"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
PATHS = [
    *((name,) for name in JobSerializer().fields),
    *((section, name) for section, names in SECTION_FIELDS.items() for name in names),
    ("environments", "production"),
    ("environments", "production", "enabled"),
    ("environments", "production", "paused_until"),
    ("request", "headers", "A"),
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(PATHS), odd=ODD, method=st.sampled_from(["POST", "PUT", "PATCH"]))
def test_no_value_anywhere_causes_an_internal_error(api: Caller, path: tuple[str, ...], odd: Any, method: str) -> None:
    body: dict[str, Any] = json.loads(json.dumps(JOB))
    place = body
    for name in path[:-1]:
        place = place.setdefault(name, {})
    place[path[-1]] = odd
    if method == "PATCH":
        api.ask("PUT", "/jobs/fuzzed/", JOB)
    answer = api.ask(method, "/jobs/" if method == "POST" else "/jobs/fuzzed/", body)
    assert answer.get("status") in {None, 400, 409}, answer
