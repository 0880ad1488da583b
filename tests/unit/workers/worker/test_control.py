"""Celery's own remote control: commands without effect on executions say what to use instead."""

import contextlib
import logging
import types
from pathlib import Path
from typing import Any

import pytest

from scheduler_project.logs import follow_command_line
from workers.worker import control
from workers.worker.service import DeliveryService

EXECUTION = "01a22adf-5066-7f92-b511-32974fcd44ed"


class Service:
    draining = False
    waiting_count = 3

    def in_flight(self) -> list[Any]:
        one = types.SimpleNamespace(execution_id=EXECUTION, attempt=1, host="a.example", started_monotonic=0.0)
        return [one]


def state(service: Any = None) -> Any:
    calls: list[Any] = []
    consumer = types.SimpleNamespace(
        controller=types.SimpleNamespace(deliveries=service),
        call_soon=lambda *call: calls.append(call),
        cancel_task_queue="cancel",
        add_task_queue="add",
        timer=types.SimpleNamespace(schedule=types.SimpleNamespace(queue=[])),
    )
    return types.SimpleNamespace(consumer=consumer, calls=calls, tset=set, app=None)


@pytest.mark.parametrize(
    ("command", "arguments", "word"),
    [
        ("cancel_consumer", {"queue": "deliveries"}, "celery control drain"),
        ("revoke", {"task_id": [EXECUTION]}, f"cancel_execution {EXECUTION}"),
        ("revoke", {"task_id": EXECUTION}, f"cancel_execution {EXECUTION}"),
        ("rate_limit", {"task_name": "workers.deliver", "rate_limit": "5/m"}, "HOURHAND_MAX_IN_FLIGHT"),
        ("time_limit", {"task_name": "workers.deliver", "soft": 5}, "request.timeout_seconds"),
        ("pool_grow", {"n": 2}, "more workers"),
        ("pool_shrink", {}, "HOURHAND_MAX_IN_FLIGHT"),
        ("autoscale", {"max": 10, "min": 1}, "more workers"),
    ],
)
def test_unsupported_commands_say_what_to_use(command: str, arguments: dict[str, Any], word: str) -> None:
    assert word in control.Panel.data[command](state(Service()), **arguments)["error"]


def test_a_worker_that_can_not_deliver_refuses_the_deliveries_queue() -> None:
    draining = Service()
    draining.draining = True  # type: ignore[misc]
    for service in (None, draining):
        assert "start a new worker" in control.Panel.data["add_consumer"](state(service), queue="deliveries")["error"]


def test_other_queues_are_left_to_celery() -> None:
    here = state(Service())
    assert "ok" in control.Panel.data["cancel_consumer"](here, queue="chores")
    assert here.calls == [("cancel", "chores")]


def test_inspect_shows_the_executions() -> None:
    here = state(Service())
    assert control.Panel.data["active"](here)[-1]["execution_id"] == EXECUTION
    assert control.Panel.data["reserved"](here)[-1] == {"executions_waiting_for_a_place": 3}
    assert "PostgreSQL" in control.Panel.data["scheduled"](here)[-1]["note"]


@pytest.fixture
def logging_kept() -> Any:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers, root.level = handlers, level
    logging.getLogger("celery.beat").setLevel("WARNING")


@pytest.mark.parametrize(
    "words", [["-l", "debug"], ["-ldebug"], ["--loglevel", "DEBUG"], ["--loglevel=debug"], ["-l", "DEBUG", "-E"]]
)
def test_the_log_level_of_the_command_line_takes_precedence(words: list[str], logging_kept: Any) -> None:
    follow_command_line(["celery", "worker", *words], logfile=None)
    assert logging_kept.level == logging.DEBUG
    assert logging.getLogger("celery.beat").level == logging.DEBUG


def test_without_a_log_level_the_settings_apply(logging_kept: Any) -> None:
    before = logging_kept.level
    follow_command_line(["celery", "worker", "--hostname", "w@%h"], logfile=None)
    assert logging_kept.level == before


def test_a_log_file_receives_the_log(logging_kept: Any, tmp_path: Path) -> None:
    follow_command_line(["celery", "worker", "-l", "info"], logfile=str(tmp_path / "worker.log"))
    logging.getLogger("tests").warning("something happened")
    assert "something happened" in (tmp_path / "worker.log").read_text()
    with pytest.raises(SystemExit, match="can't be written"):
        follow_command_line(["celery"], logfile=str(tmp_path / "none" / "worker.log"))


@pytest.mark.parametrize(("attempt", "aborts"), [(1, False), (2, True), (None, True)])
def test_the_message_of_a_cancel_aborts_the_attempt_that_it_names(attempt: int | None, aborts: bool) -> None:
    """It may come late, when the same worker has claimed the next attempt: a call of the workflow's `finally`."""
    held = types.SimpleNamespace(attempt=types.SimpleNamespace(number=2))
    service = types.SimpleNamespace(
        _changed=contextlib.nullcontext(),
        _held=types.SimpleNamespace(of_execution=lambda _: held),
        _abort=lambda claimed: claimed is held,
    )
    assert DeliveryService.abort(service, EXECUTION, attempt) is aborts  # type: ignore[arg-type]
