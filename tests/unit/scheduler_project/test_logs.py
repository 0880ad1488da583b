"""Which events are logged, and their format, without confidential data."""

import json
import logging
import logging.config
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import structlog
from django.conf import settings
from django.test import RequestFactory
from gunicorn.config import Config

from scheduler_project.logs import logging_config
from scheduler_project.web_log import WebLog


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    logging.config.dictConfig(settings.LOGGING)


@pytest.mark.parametrize("name", ["celery.beat", "celery.app.trace", "celery.worker.strategy"])
def test_a_frequent_maintenance_task_is_logged_only_when_it_fails(name: str) -> None:
    logging.config.dictConfig(logging_config(level="INFO"))
    assert not logging.getLogger(name).isEnabledFor(logging.INFO)
    assert logging.getLogger(name).isEnabledFor(logging.WARNING)
    assert logging.getLogger("workers.beat.scheduler").isEnabledFor(logging.INFO)
    logging.config.dictConfig(logging_config(level="DEBUG"))
    assert logging.getLogger(name).isEnabledFor(logging.INFO)


def formatted(capsys: pytest.CaptureFixture[str], record: Callable[[], object], *, style: str = "json") -> str:
    logging.config.dictConfig(logging_config(level="INFO", style=style))
    record()
    return capsys.readouterr().err


def test_our_own_lines_and_those_of_libraries_have_the_same_format(capsys: pytest.CaptureFixture[str]) -> None:
    logger = structlog.get_logger("runs.attempts.reaping")
    told = formatted(capsys, lambda: logger.warning("worker_lost", execution_id="0197"))
    assert json.loads(told) == {
        "event": "worker_lost", "execution_id": "0197", "logger": "runs.attempts.reaping", "level": "warning",
        "timestamp": json.loads(told)["timestamp"],
    }  # fmt: skip
    told = formatted(capsys, lambda: logging.getLogger("celery.worker").error("Lost %s", "it", extra={"count": 2}))
    assert {"event": "Lost it", "count": 2, "level": "error"}.items() <= json.loads(told).items()
    told = formatted(
        capsys, lambda: logging.getLogger("workers.delivery").info("delivery_engine_stopped"), style="text"
    )
    assert "level=info event=delivery_engine_stopped" in told


def test_a_python_warning_is_logged_in_the_same_format() -> None:
    warn = """
import logging.config, warnings
from scheduler_project.logs import logging_config
logging.config.dictConfig(logging_config(level="INFO", style="json"))
warnings.warn("odd")
"""
    ended = subprocess.run([sys.executable, "-c", warn], capture_output=True, text=True, check=True)
    (told,) = map(json.loads, ended.stderr.splitlines())
    assert (told["logger"], told["level"]) == ("py.warnings", "warning")
    assert "odd" in told["event"]


def test_an_error_is_logged_with_its_traceback_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        try:
            raise ValueError("odd")
        except ValueError:
            structlog.get_logger("workers").exception("claimer_turn_failed")

    for style in ("json", "text"):
        told = formatted(capsys, fail, style=style)
        assert told.count("\n") == 1
        assert "ValueError: odd" in told


@pytest.mark.parametrize("path", ["/invitations/MQ/token-of-one/", "/hooks/token-of-one", "/hooks/resume/token-of-one"])
def test_a_request_logged_by_django_shows_no_token_and_no_query(capsys: pytest.CaptureFixture[str], path: str) -> None:
    request = RequestFactory().get(f"{path}?password=token-of-one")
    warn = partial(logging.getLogger("django.request").warning, extra={"request": request, "status_code": 404})
    told = json.loads(formatted(capsys, lambda: warn("Not Found: %s", path)))
    assert "token-of-one" not in str(told)
    assert (told["method"], told["status_code"]) == ("GET", 404)


def test_gunicorn_logs_in_the_same_format(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOURHAND_LOG_FORMAT", "json")
    told = formatted(capsys, lambda: WebLog(Config()).info("Listening at: %s", "http://127.0.0.1:8000"))
    assert json.loads(told)["event"] == "Listening at: http://127.0.0.1:8000"
    assert json.loads(told)["logger"] == "gunicorn.error"
