"""`manage.py doctor`: what is wrong with this installation, and what to do about it."""

import json
import sys
import textwrap
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ops.doctor.examination import Examination, Examined
from ops.doctor.findings import Finding, Severity, worst
from ops.doctor.sections import sections

_PATIENCE_SECONDS = 8.0
_WIDTH, _INDENT = 110, " " * 28


class Command(BaseCommand):
    help = "Look at settings, host, database, broker, beats and workers; say what to do. Exits with 1 on a problem."
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
        parser.add_argument(
            "--patience", type=float, default=_PATIENCE_SECONDS, metavar="SECONDS", help="to wait for each answer (8)"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        examined = Examination(options["patience"]).of(sections())
        verdict = self._tell_json(examined) if options["json"] else self._tell(examined)
        if verdict is Severity.PROBLEM:
            sys.exit(1)

    def _tell(self, examined: Iterable[Examined]) -> Severity:
        """Each finding as it comes, so that who waits sees for what."""
        verdicts: list[Severity] = []
        for section, found in groupby(examined, key=lambda one: one.section):
            self.stdout.write(self.style.MIGRATE_HEADING(section))
            for one in found:
                verdicts.append(one.finding.verdict)
                self.stdout.write(self._lines(one.finding))
        counts = {verdict: verdicts.count(verdict) for verdict in Severity}
        self.stdout.write(f"\n{', '.join(f'{count} {verdict}' for verdict, count in counts.items() if count)}")
        return worst(verdicts)

    def _tell_json(self, examined: Iterable[Examined]) -> Severity:
        all_of_it = list(examined)
        verdict = worst(one.finding.verdict for one in all_of_it)
        told = [
            {
                "section": one.section,
                "name": one.finding.name,
                "verdict": one.finding.verdict,
                "says": one.finding.says,
                "advice": one.finding.advice,
                "seconds": round(one.seconds, 3),
            }
            for one in all_of_it
        ]
        self.stdout.write(json.dumps({"verdict": verdict, "findings": told}, indent=2))
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
