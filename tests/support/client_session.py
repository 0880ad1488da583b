"""A program written against the client that is generated from the OpenAPI document. It is also type-checked."""

import sys

from hourhand_client import AuthenticatedClient
from hourhand_client.api.executions import executions_get, executions_list, executions_replay
from hourhand_client.api.jobs import jobs_create, jobs_get, jobs_patch, jobs_run
from hourhand_client.api.retry_policies import retry_policies_create, retry_policies_patch
from hourhand_client.models.execution import Execution
from hourhand_client.models.job import Job
from hourhand_client.models.job_request import JobRequest
from hourhand_client.models.paginated_listed_execution_list import PaginatedListedExecutionList
from hourhand_client.models.patched_job_request import PatchedJobRequest
from hourhand_client.models.patched_request_request import PatchedRequestRequest
from hourhand_client.models.patched_request_request_headers import PatchedRequestRequestHeaders
from hourhand_client.models.patched_retry_policy_request import PatchedRetryPolicyRequest
from hourhand_client.models.patched_retry_request import PatchedRetryRequest
from hourhand_client.models.replay_request import ReplayRequest
from hourhand_client.models.request_request import RequestRequest
from hourhand_client.models.request_request_headers import RequestRequestHeaders
from hourhand_client.models.retry_policy import RetryPolicy
from hourhand_client.models.retry_policy_request import RetryPolicyRequest
from hourhand_client.models.run_now_request import RunNowRequest


def main(url: str, key: str) -> None:
    client = AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True)
    made = _made(client)
    _patched(client, made)
    _policy(client)
    _executions(client, made.slug)


def _made(client: AuthenticatedClient) -> Job:
    request = RequestRequest(
        url="http://receiver.test/ok",
        headers=RequestRequestHeaders.from_dict({"X-First": "1"}),
        body="a=1",
        timeout_seconds=7,
    )
    made = jobs_create.sync(
        client=client, body=JobRequest(name="Größe & Maß", request=request, timezone="Europe/Berlin")
    )
    assert isinstance(made, Job), made
    assert made.retry is not None  # as of a workflow
    assert made.request is not None
    # A type checker must see these as always present.
    attempts: int = made.retry.max_attempts
    method: str = made.request.method.value
    enabled: bool = made.environments["production"].enabled
    version: int = made.version
    assert (made.slug, attempts, method, enabled, version) == ("grosse-mass", 3, "POST", True, 1)
    return made


def _patched(client: AuthenticatedClient, made: Job) -> None:
    """Check that changing one header changes nothing else."""
    headers = PatchedRequestRequestHeaders.from_dict({"X-Second": "2"})
    changes = PatchedJobRequest(request=PatchedRequestRequest(headers=headers))
    patched = jobs_patch.sync(made.slug, client=client, body=changes)
    assert isinstance(patched, Job), patched
    assert made.request is not None
    assert patched.request is not None
    assert made.retry is not None
    assert patched.retry is not None
    before, after = made.request.to_dict(), patched.request.to_dict()
    assert after == {**before, "headers": {"X-Second": "2"}}
    assert patched.timezone == "Europe/Berlin"
    assert patched.retry.to_dict() == made.retry.to_dict()
    retried = jobs_patch.sync(
        made.slug, client=client, body=PatchedJobRequest(retry=PatchedRetryRequest(max_attempts=5))
    )
    assert isinstance(retried, Job), retried
    assert retried.retry is not None
    assert retried.retry.to_dict() == {**made.retry.to_dict(), "max_attempts": 5}
    shown = jobs_get.sync(str(made.id), client=client)
    assert isinstance(shown, Job), shown
    assert shown.request is not None
    assert shown.request.to_dict() == after


def _policy(client: AuthenticatedClient) -> None:
    policy = retry_policies_create.sync(client=client, body=RetryPolicyRequest(name="Patient", max_attempts=9))
    assert isinstance(policy, RetryPolicy), policy
    renamed = retry_policies_patch.sync(policy.slug, client=client, body=PatchedRetryPolicyRequest(name="Calm"))
    assert isinstance(renamed, RetryPolicy), renamed
    kept: int = renamed.max_attempts
    assert (renamed.name, kept) == ("Calm", 9)


def _executions(client: AuthenticatedClient, slug: str) -> None:
    run = jobs_run.sync(slug, client=client, body=RunNowRequest(input_={"a": 1}))
    assert isinstance(run, Execution), run
    listed = executions_list.sync(client=client, job=slug)
    assert isinstance(listed, PaginatedListedExecutionList), listed
    assert [one.id for one in listed.results] == [run.id]
    again = executions_replay.sync(
        run.id, client=client, body=ReplayRequest(edit=PatchedRequestRequest(url="http://b.test/"))
    )
    assert isinstance(again, Execution), again
    assert again.replay_of == run.id
    shown = executions_get.sync(again.id, client=client)
    assert isinstance(shown, Execution), shown
    assert (shown.trigger.value, shown.status.value, shown.runs) == ("replay", "pending", [])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
