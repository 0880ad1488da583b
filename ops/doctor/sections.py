"""All that the doctor looks at, in the order in which it is told."""

from collections.abc import Callable, Iterable

from django.conf import settings

from ops.doctor import broker, configuration, database, disk, egress, keys, processes, software
from ops.doctor.examination import DoctorSection, Look, Source
from ops.doctor.findings import Finding


def _hold(look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    return list(look())


_HERE = Source(title="This host", hold=_hold, advice="Look at the disks: one that hangs holds up all who read it.")


def sections() -> list[DoctorSection]:
    """What can be told without anybody else's help comes first."""
    directory = settings.DATA_DIR
    here: dict[str, dict[str, Look]] = {
        "Settings": {
            "secret_key": configuration.secret_key,
            "encryption_keys": configuration.encryption_keys,
            "debug": configuration.debug,
            "public_url": configuration.public_url,
            "allowed_hosts": configuration.allowed_hosts,
            "proxies": configuration.proxies,
            "outbound": lambda: egress.outbound(settings.OUTBOUND_POLICY),
        },
        "This host": {
            "python": software.python,
            "packages": software.packages,
            "open_files": configuration.open_files,
            "disk": lambda: disk.room(directory),
            "data_directory": lambda: disk.data_directory(directory),
            "first_run": lambda: disk.first_run(directory),
        },
    }
    of_database: dict[str, dict[str, Look]] = {
        "PostgreSQL": {
            "database": database.answers,
            "version": database.version,
            "letters": database.letters,
            "durability": database.durability,
            "migrations": database.migrations,
            "privileges": database.privileges,
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
            "unreadable_jobs": processes.unreadable,
            "retention": processes.retention,
        },
    }
    of_broker: dict[str, Look] = {
        "broker": broker.answers,
        "version": broker.version,
        "memory": broker.memory,
        "persistence": broker.persistence,
        "queues": broker.queues,
    }
    return [
        *(DoctorSection(title, _HERE, looks) for title, looks in here.items()),
        *(DoctorSection(title, database.DATABASE, looks) for title, looks in of_database.items()),
        DoctorSection("Redis", broker.BROKER, of_broker),
    ]
