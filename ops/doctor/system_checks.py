"""Django's system checks as the doctor's probes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage
from django.db import DEFAULT_DB_ALIAS

from ops.doctor.examination import Probe
from ops.doctor.findings import Finding, ok, problem, warning

SystemCheck = Callable[..., Sequence[CheckMessage]]


def probes(system_checks: Mapping[str, tuple[SystemCheck, str]]) -> dict[str, Probe]:
    """A probe for each finding's name: its system check, and the sentence for a check without messages."""
    return {name: _probe(name, check, well) for name, (check, well) in system_checks.items()}


def hinted(system_check: SystemCheck, hint: str) -> SystemCheck:
    """A check of Django's own, whose messages have no hint, with one."""

    def check(**options: Any) -> list[CheckMessage]:
        return [CheckMessage(m.level, m.msg, hint=hint, id=m.id) for m in system_check(**options)]

    return check


def _probe(name: str, system_check: SystemCheck, well: str) -> Probe:
    def probe(*_source: Any) -> Iterator[Finding]:
        messages = system_check(app_configs=None, databases=[DEFAULT_DB_ALIAS])
        findings = [_finding(name, message) for message in messages if not message.is_silenced()]
        yield from findings or [ok(name, well)]

    return probe


def _finding(name: str, message: CheckMessage) -> Finding:
    severity = problem if message.is_serious(checks.ERROR) else warning
    return severity(name, str(message.msg), str(message.hint))
