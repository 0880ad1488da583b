"""Health for load balancers and orchestrators: `/healthz` of this process, `/readyz` of everything it needs."""

from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from core.redis import REDIS_ERRORS, redis_client

_BROKER_TIMEOUT_SECONDS = 2


@require_safe
@never_cache
def healthz(_request: HttpRequest) -> JsonResponse:
    """Answer 200 as long as this process runs."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(_request: HttpRequest) -> JsonResponse:
    """Answer 200 if the database, its migrations and the broker are available, else 503 with those that are not."""
    checks: dict[str, Callable[[], bool]] = {"database": _database, "migrations": _migrations, "broker": _broker}
    results = {name: check() for name, check in checks.items()}
    ready = all(results.values())
    body = {
        "status": "ok" if ready else "unavailable",
        **{name: "ok" if ok else "failed" for name, ok in results.items()},
    }
    return JsonResponse(body, status=200 if ready else 503)


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def _migrations() -> bool:
    try:
        executor = MigrationExecutor(connection)
        return not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return False


def _broker() -> bool:
    with redis_client(settings.REDIS_URL, timeout_seconds=_BROKER_TIMEOUT_SECONDS) as client:
        try:
            return bool(client.ping())
        except REDIS_ERRORS:
            return False
