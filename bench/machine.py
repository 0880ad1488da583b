"""The machine of a benchmark, and the versions of the software."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
from pathlib import Path

import pycurl
import redis
from django.conf import settings
from django.db import connection

from core.version import __version__

_PACKAGES = ("Celery", "Django", "psycopg2-binary", "pycurl", "requests")
_PEERS = ("aiohttp", "asyncpg", "gevent", "django-celery-beat")


def machine() -> dict[str, str]:
    """Cores available to this process, processor, memory, kernel and load."""
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": _processor(),
        "memory": f"{_memory_bytes() / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "load at the start": f"{os.getloadavg()[0]:.1f}",
    }


def versions() -> dict[str, str]:
    """Versions by name. A peer that is not installed is only named in the table."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        postgresql = cursor.fetchone()[0].split()[0]
    server = redis.Redis.from_url(settings.REDIS_URL).info("server")
    broker = "valkey_version" if "valkey_version" in server else "redis_version"  # type: ignore[operator]
    versions = {
        "Hourhand": __version__,
        "Python": platform.python_version(),
        "PostgreSQL": postgresql,
        broker.removesuffix("_version").capitalize(): str(server[broker]),  # type: ignore[index]
        "libcurl": str(pycurl.version_info()[1]),
    }
    for package in (*_PACKAGES, *_PEERS):
        if (version := _version_of(package)) is not None:
            versions[package] = version
    if node := shutil.which("node"):
        output = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
        versions["Node.js"] = output.strip().removeprefix("v")
    return versions


def as_text(facts: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
