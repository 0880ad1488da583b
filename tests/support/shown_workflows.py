"""What the API shows of an execution of a workflow."""

from typing import Any

from runs.models import Execution
from tests.support.api_caller import Caller


def shown(api: Caller, execution: Execution) -> dict[str, Any]:
    answer: dict[str, Any] = api.ask("GET", f"/executions/{execution.pk}/", expect=200)
    return answer


def steps(api: Caller, execution: Execution) -> list[dict[str, Any]]:
    """The steps of an execution, which its own page and their list show alike."""
    listed: list[dict[str, Any]] = api.ask("GET", f"/executions/{execution.pk}/steps/", expect=200)["results"]
    assert listed == shown(api, execution)["steps"]
    return listed


def statuses(api: Caller, execution: Execution) -> dict[str, str]:
    return {item["id"]: item["status"] for item in steps(api, execution)}
