"""Approvals: their page, who may decide, what is decided and shown, and "Waiting for you" on the start page."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Membership, Workspace
from accounts.services import create_workspace
from runs.models import Execution, StepState
from tests.support.admin_rows import HOSTILE, person, signed_in
from tests.support.dashboard_pages import queries_of, text_of, words_of
from tests.support.explain_plans import QueryCost
from tests.support.workflows import StartWorkflow, Worker, pass_time, step

pytestmark = pytest.mark.django_db(transaction=True)
FORM = [
    {"name": "amount", "label": "Amount", "type": "number", "required": True, "options": []},
    {"name": "speed", "label": "Speed", "type": "choice", "required": False, "options": ["slow", "fast"]},
    {"name": "tell", "label": "Tell them", "type": "boolean", "required": False, "options": []},
    {"name": "why", "label": "Why", "type": "text", "required": False, "options": []},
]


def url_of(execution: Execution, name: str = "ok") -> str:
    return reverse("admin:approval", args=[execution.pk, name])


def overview_of(client: Client) -> str:
    page = client.get(reverse("overview-parts")).content.decode()
    return words_of(page.partition('id="part-waiting"')[2].partition("</section>")[0])


def last_message(answer: Any) -> str:
    return str(list(get_messages(answer.wsgi_request))[-1])


@pytest.fixture
def asked(start: StartWorkflow, worker: Worker) -> Any:
    """Start a workflow that waits for approval, with these fields of its step."""

    def make(*, slug: str | None = None, **fields: Any) -> Execution:
        message = "Refund {{steps.look.json.total}}?"
        execution = start(step("look"), step("ok", "approval", message=message, **fields), given={"a": 1}, slug=slug)
        worker.answers["look"] = (200, {"total": 250})
        worker.run()
        return execution

    return make


def test_the_page_shows_what_it_is_about_and_opening_it_decides_nothing(member: Client, asked: Any) -> None:
    execution = asked(form=FORM)
    page = text_of(member, url_of(execution))
    words = words_of(page)
    for expected in (
        "Nightly report",
        "Refund 250?",
        "Expires",
        '{ "a": 1 }',
        "Steps before look",
        "Amount",
        "Approve",
    ):
        assert expected in words
    assert 'name="csrfmiddlewaretoken"' in page
    assert not StepState.objects.get(step="ok").decisions
    assert member.head(url_of(execution)).status_code in (200, 405)
    assert StepState.objects.get(step="ok").status == "waiting"


@pytest.mark.parametrize(("decision", "status"), [("approve", "succeeded"), ("reject", "failed")])
def test_a_decision_moves_the_workflow_and_is_shown(
    member: Client, asked: Any, worker: Worker, decision: str, status: str
) -> None:
    execution = asked(form=FORM)
    form = {"field_amount": "12", "field_speed": "fast", "field_tell": "on", "field_why": ""}
    answer = member.post(url_of(execution), {"decision": decision, "note": HOSTILE, **form})
    assert answer.headers["Location"] == url_of(execution)
    state = StepState.objects.get(step="ok")
    assert (state.status, state.decisions[0]["by"]) == (status, "mara")
    worker.run()
    execution.refresh_from_db()
    assert execution.status == status
    page = text_of(member, url_of(execution))
    assert HOSTILE not in page
    assert f"mara {'approved' if decision == 'approve' else 'rejected'}" in words_of(page)
    assert 'value="approve"' not in page
    if decision == "approve":
        assert state.decisions[0]["form"] == {"amount": 12, "speed": "fast", "tell": True, "why": None}
    assert "already" in last_message(member.post(url_of(execution), {"decision": "approve", **form}))


def test_the_execution_page_decides_in_place(member: Client, asked: Any) -> None:
    execution = asked()
    change = reverse("admin:runs_execution_change", args=[execution.pk])
    page = text_of(member, change)
    assert f'action="{url_of(execution)}"' in page
    answer = member.post(url_of(execution), {"decision": "approve", "note": "", "back": "execution"})
    assert answer.headers["Location"] == change
    assert "approved by mara" in words_of(text_of(member, change))


@pytest.mark.parametrize(
    ("values", "error"),
    [({}, "required"), ({"field_amount": "many"}, "Enter a number"),
     ({"field_amount": "1", "field_speed": "warp"}, "valid choice"), ({"field_amount": "1e999"}, "Enter a number")],
)  # fmt: skip
def test_an_error_is_beside_its_field_and_nothing_is_decided(
    member: Client, asked: Any, values: dict[str, str], error: str
) -> None:
    execution = asked(form=FORM)
    answer = member.post(url_of(execution), {"decision": "approve", "note": "kept", **values})
    assert answer.status_code == 200
    page = answer.content.decode()
    assert error in page
    assert "kept" in page
    assert not StepState.objects.get(step="ok").decisions


def test_several_approvals_are_counted(member: Client, workspace: Workspace, asked: Any) -> None:
    execution = asked(required=2)
    assert "0 of 2 approvals" in words_of(text_of(member, url_of(execution)))
    assert "1 more approval" in last_message(member.post(url_of(execution), {"decision": "approve"}))
    words = words_of(text_of(member, url_of(execution)))
    assert "1 of 2 approvals" in words
    assert "You have approved it. It waits for more approvals." in words
    assert "Nightly report" not in overview_of(member)
    other = signed_in(person("olga", workspace=workspace, role="owner"))
    assert "Nightly report" in overview_of(other)
    assert last_message(other.post(url_of(execution), {"decision": "approve"})) == "Approved."
    assert StepState.objects.get(step="ok").status == "succeeded"


def test_who_may_not_decide_is_told_why(member: Client, viewer: Client, workspace: Workspace, asked: Any) -> None:
    open_to_runners, admins_only = asked(slug="open"), asked(approvers=["role:admin"], slug="admins")
    not_own, for_viewers = asked(self_approval=False, slug="own"), asked(approvers=["user:vera"], slug="viewers")
    for client, execution, reason in (
        (viewer, open_to_runners, "Only people who may run the job may decide."),
        (viewer, for_viewers, "Only people who may run the job may decide."),
        (member, admins_only, "Only role:admin may decide."),
        (member, not_own, "You started this execution, so another person has to decide."),
    ):
        page = text_of(client, url_of(execution))
        assert reason in words_of(page)
        assert 'value="approve"' not in page
        assert last_message(client.post(url_of(execution), {"decision": "approve"})) == reason
        assert not StepState.objects.get(execution=execution, step="ok").decisions
    stranger = signed_in(person("nobody", workspace=create_workspace(slug="other", name="Other"), role="owner"))
    assert stranger.get(url_of(open_to_runners)).status_code == 404
    assert stranger.post(url_of(open_to_runners), {"decision": "approve"}).status_code == 404
    assert Client().get(url_of(open_to_runners)).status_code == 302
    owner = person("olga", workspace=workspace, role="owner")
    assert signed_in(owner, checks_csrf=True).post(url_of(admins_only), {"decision": "approve"}).status_code == 403
    signed_in(owner).post(url_of(admins_only), {"decision": "approve"})
    assert StepState.objects.get(execution=admins_only, step="ok").status == "succeeded"


def test_an_expired_approval_takes_no_decision(member: Client, asked: Any, worker: Worker) -> None:
    execution = asked()
    pass_time(hours=2)
    assert "The time to decide is over." in words_of(text_of(member, url_of(execution)))
    assert "Nightly report" not in overview_of(member)
    assert "over" in last_message(member.post(url_of(execution), {"decision": "approve"}))


def test_other_steps_and_unknown_ones_have_no_page(member: Client, asked: Any) -> None:
    execution = asked()
    for name in ("look", "nothing"):
        assert member.get(url_of(execution, name)).status_code == 404


def test_an_approval_that_is_not_reached_says_so(member: Client, start: StartWorkflow) -> None:
    execution = start(step("look"), step("ok", "approval"))
    assert "has not reached this step yet" in words_of(text_of(member, url_of(execution)))
    assert "waits for no approval" in last_message(member.post(url_of(execution), {"decision": "approve"}))


class TestWaitingForYou:
    def test_lists_what_this_person_may_decide(
        self, member: Client, viewer: Client, mara: Any, workspace: Workspace, asked: Any
    ) -> None:
        asked(slug="open")
        asked(slug="admins", approvers=["role:admin"])
        asked(slug="by-name", approvers=["user:mara", "user:vera"])
        asked(slug="own", self_approval=False)
        links = [url_of(state.execution) for state in StepState.objects.filter(step="ok").order_by("id")]
        admin = signed_in(person("adam", workspace=workspace, role="admin"))
        root = signed_in(person("root", superuser=True))
        for client, expected in ((member, [0, 2]), (viewer, []), (admin, [0, 1, 3]), (root, [0, 3])):
            page = client.get(reverse("overview-parts")).content.decode()
            assert [index for index, link in enumerate(links) if link in page] == expected
        Membership.objects.filter(user=mara).update(role="owner")
        page = member.get(reverse("overview-parts")).content.decode()
        assert [index for index, link in enumerate(links) if link in page] == [0, 1, 2]

    def test_shows_message_job_and_times(self, member: Client, asked: Any) -> None:
        asked()
        words = overview_of(member)
        assert "Waiting for you Nightly report production · ok Refund 250?" in words
        assert "expires in 59 min" in words

    def test_costs_the_same_with_more(self, member: Client, asked: Any) -> None:
        asked(slug="first")
        few = queries_of(member, reverse("overview-parts"))
        for number in range(10):
            asked(slug=f"more-{number}")
        assert queries_of(member, reverse("overview-parts")) == few
        assert "The longest waiting are shown." in overview_of(member)

    def test_reads_the_index_of_what_waits(self, member: Client, asked: Any, workspace: Workspace) -> None:
        execution = asked()
        StepState.objects.bulk_create(
            StepState(
                workspace=workspace, execution=execution, step=f"s{number}", type="http", status="succeeded",
                finished_at=execution.created_at,
            )
            for number in range(2000)
        )  # fmt: skip
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE runs_stepstate")
        with CaptureQueriesContext(connection) as captured:
            member.get(reverse("overview-parts"))
        queries = [query["sql"] for query in captured if '"runs_stepstate"' in query["sql"]]
        assert len(queries) == 1
        cost = QueryCost.of(queries[0])
        assert "runs_stepstate" not in cost.scanned_whole
        assert cost.read.get("runs_stepstate", 0) <= 2
