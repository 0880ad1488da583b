"""All sections of the doctor, in the order of its output."""

import platform
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks.security.base import check_debug, check_secret_key

from core.version import __version__
from ops.checks import configuration, data_directory, outbound, software
from ops.checks import database as database_checks
from ops.doctor import broker, database, disk, keys, processes
from ops.doctor.examination import DoctorSection, Probe, Source
from ops.doctor.findings import Finding
from ops.doctor.system_checks import hinted, probes


def _run(probe: Callable[[], Iterable[Finding]]) -> list[Finding]:
    return list(probe())


_HERE = Source(title="This host", run=_run, advice="Check the disks: one that hangs blocks its readers.")
_LONGER_KEY = f"Set SECRET_KEY to the output of {configuration.MAKE_KEY}; everybody signs in again."


def _secret_key(**options: Any) -> Sequence[CheckMessage]:
    return configuration.secret_key(**options) or hinted(check_secret_key, _LONGER_KEY)(**options)


def sections() -> list[DoctorSection]:
    """What needs no other service comes first."""
    here: dict[str, dict[str, Probe]] = {
        "Settings": probes(
            {
                "secret_key": (_secret_key, "Set, and long enough."),
                "encryption_keys": (
                    configuration.encryption_keys,
                    f"{len(settings.ENCRYPTION_KEYS)} set; the first encrypts.",
                ),
                "debug": (hinted(check_debug, "Start Hourhand with its own settings."), "DEBUG is off."),
                "public_url": (configuration.public_url, f"{settings.PUBLIC_URL}."),
                "allowed_hosts": (configuration.allowed_hosts, f"{', '.join(settings.ALLOWED_HOSTS)}."),
                "proxies": (configuration.proxies, f"{settings.TRUSTED_PROXIES} trusted."),
                "outbound": (
                    outbound.outbound,
                    f"Jobs may call {outbound.described(settings.OUTBOUND_POLICY)}.",
                ),
            }
        ),
        "This host": {
            **probes(
                {
                    "python": (software.python, f"Hourhand {__version__} on Python {platform.python_version()}."),
                    "packages": (software.packages, "All packages have the tested versions."),
                    "open_files": (configuration.open_files, "A worker may open as many files as it needs."),
                    "data_directory": (
                        data_directory.data_directory,
                        f"No other account can read the keys in {settings.DATA_DIR}.",
                    ),
                }
            ),
            "disk": lambda: disk.room(settings.DATA_DIR),
            "first_run": lambda: disk.first_run(settings.DATA_DIR),
        },
    }
    of_database: dict[str, dict[str, Probe]] = {
        "PostgreSQL": {
            "database": database.answers,
            **probes(
                {
                    "version": (database_checks.version, f"PostgreSQL {database_checks.TESTED}."),
                    "letters": (
                        database_checks.letters,
                        "UTF-8, and an order of texts that no upgrade of the operating system changes.",
                    ),
                    "durability": (database_checks.durability, "Committed transactions are on disk."),
                    "privileges": (database_checks.privileges, "The account may write every table and migrate."),
                }
            ),
            "migrations": database.migrations,
            "connections": database.connections,
            "restored": database.restored,
        },
        "Clocks": {"clock": processes.own_clock, "other_clocks": processes.other_clocks},
        "Keys": {"kept_secrets": keys.kept_secrets},
        "Beats and workers": {
            "beats": processes.beats,
            "workers": processes.workers,
            "agreement": processes.agreement,
            "lag": processes.lag,
            "callbacks": processes.callbacks,
            "unreadable_jobs": processes.unreadable,
            "retention": processes.retention,
        },
    }
    of_broker: dict[str, Probe] = {
        "broker": broker.answers,
        "version": broker.version,
        "memory": broker.memory,
        "persistence": broker.persistence,
        "queues": broker.queues,
    }
    return [
        *(DoctorSection(title, _HERE, section) for title, section in here.items()),
        *(DoctorSection(title, database.DATABASE, section) for title, section in of_database.items()),
        DoctorSection("Redis", broker.BROKER, of_broker),
    ]
