"""`manage.py doctor`: what is wrong with this installation, and what to do about it."""

import json
import sys
import textwrap
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ops.doctor.examination import Examination, TimedFinding
from ops.doctor.findings import Finding, Severity, worst
from ops.doctor.sections import sections

_PATIENCE_SECONDS = 8.0
_WIDTH, _INDENT = 110, " " * 28


class Command(BaseCommand):
    help = (
        "Examine settings, host, PostgreSQL, Redis, beats and workers, and say what to do. The exit status is 1 if "
        "there is a problem."
    )
    requires_system_checks = []  # it runs them itself, each within a time limit
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
        parser.add_argument(
            "--patience", type=float, default=_PATIENCE_SECONDS, metavar="SECONDS", help="time limit of each probe (8)"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        findings = Examination(options["patience"]).of(sections())
        verdict = self._write_json(findings) if options["json"] else self._write_text(findings)
        if verdict is Severity.PROBLEM:
            sys.exit(1)

    def _write_text(self, findings: Iterable[TimedFinding]) -> Severity:
        """Write each finding as it arrives, which shows what a slow examination is at."""
        verdicts: list[Severity] = []
        for section, group in groupby(findings, key=lambda timed: timed.section):
            self.stdout.write(self.style.MIGRATE_HEADING(section))
            for timed in group:
                verdicts.append(timed.finding.verdict)
                self.stdout.write(self._lines(timed.finding))
        counts = {verdict: verdicts.count(verdict) for verdict in Severity}
        self.stdout.write(f"\n{', '.join(f'{count} {verdict}' for verdict, count in counts.items() if count)}")
        return worst(verdicts)

    def _write_json(self, findings: Iterable[TimedFinding]) -> Severity:
        timed_findings = list(findings)
        verdict = worst(timed.finding.verdict for timed in timed_findings)
        rows = [
            {
                "section": timed.section,
                "name": timed.finding.name,
                "verdict": timed.finding.verdict,
                "says": timed.finding.says,
                "advice": timed.finding.advice,
                "seconds": round(timed.seconds, 3),
            }
            for timed in timed_findings
        ]
        self.stdout.write(json.dumps({"verdict": verdict, "findings": rows}, indent=2))
        return verdict

    def _lines(self, finding: Finding) -> str:
        style = {
            Severity.OK: self.style.SUCCESS,
            Severity.SKIPPED: self.style.NOTICE,
            Severity.WARNING: self.style.WARNING,
            Severity.PROBLEM: self.style.ERROR,
        }[finding.verdict]
        says = textwrap.fill(finding.says, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT).lstrip()
        lines = [f"  {style(f'{finding.verdict:<8}')}  {finding.name:<16}{says}"]
        if finding.advice:
            lines.append(
                textwrap.fill(f"→ {finding.advice}", _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
            )
        return "\n".join(lines)
