"""Web, beats and workers as programs to supervise."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError
from redis import RedisError

from core.env import Env
from ops.supervisor.program import Program
from ops.web_socket import ReadinessProbe, reachable_address

PROJECT = Path(settings.BASE_DIR)
PREPARE_DATABASE = (sys.executable, str(PROJECT / "manage.py"), "prepare_database")
_WEB_STOP_SECONDS = 15  # gunicorn.conf.py gives requests 10 seconds
_WORKER_SLACK_SECONDS = 10  # after its grace period: recording results, returning unsent executions
_PING_SECONDS = 0.5
# A beat that cannot import its scheduler or read its table has ended by then.
_BEAT_SETTLED_SECONDS = 3.0


def web(environment: Mapping[str, str], listener: socket.socket) -> Program:
    scratch = "/dev/shm" if Path("/dev/shm").is_dir() else "/tmp"  # noqa: S108 - gunicorn unlinks its file at once
    return Program(
        name="web",
        argv=(
            *(sys.executable, "-m", "gunicorn", "scheduler_project.wsgi:application"),
            *("--bind", f"fd://{listener.fileno()}"),
            *("--worker-tmp-dir", scratch),
        ),
        environment=environment,
        directory=PROJECT,
        inherited_fds=(listener.fileno(),),
        stop_seconds=_WEB_STOP_SECONDS,
        ready=ReadinessProbe(reachable_address(listener), _accepted_host()),
    )


def beats(environment: Mapping[str, str], count: int) -> list[Program]:
    return [_beat(environment, f"beat-{number}" if number > 1 else "beat") for number in range(1, count + 1)]


def _beat(environment: Mapping[str, str], name: str) -> Program:
    return Program(
        name=name,
        argv=_celery("beat", "--pidfile="),
        environment=_celery_environment(environment),
        directory=PROJECT,
        orphan_signal=_celery_orphan_signal(),
        ready=_settled(),
    )


def workers(environment: Mapping[str, str], count: int) -> list[Program]:
    return [_worker(environment, f"worker-{number}") for number in range(1, count + 1)]


def _worker(environment: Mapping[str, str], name: str) -> Program:
    node = f"{name}@{socket.gethostname()}"
    return Program(
        name=name,
        argv=_celery(
            *("worker", "--pool", "threads", "--concurrency", "4", "--queues", "deliveries,chores"),
            *("--hostname", node, "--without-gossip", "--without-mingle"),
        ),
        environment=_celery_environment(environment),
        directory=PROJECT,
        stop_seconds=settings.SHUTDOWN_GRACE_SECONDS + _WORKER_SLACK_SECONDS,
        orphan_signal=_celery_orphan_signal(),
        ready=_answers_ping(node),
    )


def _celery(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "celery", "--quiet", "--app", "scheduler_project", *words)


def _celery_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Silence Celery's warning of root: the account is the operator's choice."""
    return {"PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges", **environment}


def _celery_orphan_signal() -> signal.Signals:
    """SIGKILL with the embedded PostgreSQL, else SIGTERM. The embedded one ends with the supervisor: a warm shutdown
    could record nothing and would wait forever, while expired leases recover the executions in flight.
    """
    return signal.SIGTERM if Env(os.environ).text("DATABASE_URL") else signal.SIGKILL


def _accepted_host() -> str:
    """A Host header that ALLOWED_HOSTS accepts."""
    first = str(next(iter(settings.ALLOWED_HOSTS), "localhost"))
    return "localhost" if first == "*" else first.lstrip(".")


def _settled() -> Callable[[int], bool]:
    """Ready once the process has run for a while: beat answers no requests."""
    started_at: dict[int, float] = {}

    def ready(pid: int) -> bool:
        return time.monotonic() - started_at.setdefault(pid, time.monotonic()) >= _BEAT_SETTLED_SECONDS

    return ready


def _answers_ping(node: str) -> Callable[[int], bool]:
    """Ready once it answers a ping over Redis, as of `celery inspect ping`."""

    def ready(_pid: int) -> bool:
        try:
            return bool(current_app.control.ping(destination=[node], timeout=_PING_SECONDS))
        except (OSError, OperationalError, RedisError):
            return False

    return ready
