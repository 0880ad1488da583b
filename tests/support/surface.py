"""Every name that users and operators rely on, which refactoring must not change.

python manage.py with_services -- python -m tests.support.surface > tests/support/surface.txt
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
KEPT = Path(__file__).with_name("surface.txt")
_ELSEWHERE = {".venv", "tests", "bench", "proof", "var"}
_METHODS = {"get", "post", "put", "patch", "delete"}


def lines() -> list[str]:
    """Return one line per name, with its kind. Needs Django set up and a migrated database."""
    return sorted({*_operations(), *_pages(), *_tables(), *_celery(), *_metrics(), *_named_in_source(), *_commands()})


def _operations() -> Iterator[str]:
    from django.test import Client

    document = Client().get("/api/schema/?format=json").json()
    for path, methods in document["paths"].items():
        for method in _METHODS & methods.keys():
            yield f"operation {methods[method]['operationId']} {method.upper()} {path}"
    for name, schema in document["components"]["schemas"].items():
        yield f"schema {name} {' '.join(sorted(map(str, schema.get('properties', schema.get('enum', ())))))}".rstrip()


def _pages() -> Iterator[str]:
    from django.urls import URLPattern, URLResolver, get_resolver

    def walk(resolver: Any, path: str, namespace: str) -> Iterator[str]:
        for one in resolver.url_patterns:
            whole = f"{path}{one.pattern}"
            if isinstance(one, URLResolver):
                yield from walk(one, whole, f"{namespace}{one.namespace}:" if one.namespace else namespace)
            elif isinstance(one, URLPattern) and one.name != "app_list":  # its path lists what is registered just now
                yield f"url {whole} {namespace}{one.name or ''}".rstrip()

    yield from walk(get_resolver(), "", "")


def _tables() -> Iterator[str]:
    from django.apps import apps
    from django.db import connection
    from django.db.migrations.loader import MigrationLoader

    for model in apps.get_models(include_auto_created=True):
        columns = " ".join(sorted(field.column for field in model._meta.local_concrete_fields))
        yield f"table {model._meta.db_table} of {model._meta.label}: {columns}"
    ours = {app.label for app in apps.get_app_configs() if Path(app.path).is_relative_to(PROJECT) and _is_ours(app)}
    for label, name in MigrationLoader(connection).disk_migrations:
        if label in ours:
            yield f"migration {label}.{name}"


def _is_ours(app: Any) -> bool:
    return ".venv" not in Path(app.path).parts


def _celery() -> Iterator[str]:
    from celery.worker.control import Panel
    from django_celery_beat.models import PeriodicTask

    import workers.worker.control  # noqa: F401 - its commands are told to Celery
    from scheduler_project.celery import app

    app.loader.import_default_modules()
    yield from (f"task {name}" for name in app.tasks if not name.startswith("celery."))
    yield from (f"remote control {name}" for name in Panel.data)
    yield from (f"periodic task {one.name} {one.task}" for one in PeriodicTask.objects.all())


def _metrics() -> Iterator[str]:
    from django.test import Client

    for line in Client().get("/metrics").content.decode().splitlines():
        if line.startswith("# TYPE "):
            yield f"metric {line.removeprefix('# TYPE ')}"


def _commands() -> Iterator[str]:
    from django.core.management import get_commands

    ours = {path.stem for path in sources() if path.parent.name == "commands"}
    yield from (f"command {name}" for name in get_commands() if name in ours)
    yield from (f"program bin/{path.name}" for path in (PROJECT / "bin").iterdir())


def sources() -> Iterator[Path]:
    """The product's own modules."""
    for path in PROJECT.rglob("*.py"):
        if not _ELSEWHERE & set(path.relative_to(PROJECT).parts[:-1]):
            yield path


def _named_in_source() -> Iterator[str]:
    for path in sources():
        text = path.read_text()
        yield from (f"setting {name}" for name in re.findall(r"[\"'](HOURHAND_[A-Z0-9_]+)[\"']", text))
        yield from (f"failpoint {name}" for name in re.findall(r"failpoint\(\"([\w.]+)\"", text))
        yield from (f"log event {name}" for name in re.findall(r"\blog(?:ger)?\.\w+\(\s*\"([a-z_]+)\"", text))
        yield from (
            f"error code {name}" for name in re.findall(r"^    (?:default_)?code = \"(\w+)\"", text, re.MULTILINE)
        )


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    settings.ALLOWED_HOSTS = ["*"]
    call_command("migrate", verbosity=0)
    print("\n".join(lines()))
