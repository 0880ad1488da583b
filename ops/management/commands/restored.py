"""`manage.py restored`: show what a database restored from a dump holds, and let it fire again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from runs.restore import release as restoring
from runs.restore.release import Restored

_HELD = "This database was restored from a dump. Nothing fires and nothing is delivered until you choose what to do."
_NOT_HELD = "This database does not look restored from a dump, so firing is not held."
_SEE = """
Nothing was changed. Review what the backup brought back: jobs that were paused, edited or deleted since, API keys that
were revoked, members who had left. Then run one of these:
  manage.py restored --release              count due occurrences as missed, cancel unfinished executions, end sessions
  manage.py restored --release --keep-live  the same, but deliver unfinished executions, possibly a second time
  manage.py restored --moved                continue, if nothing ran since the dump, as after a move to another host"""


class Command(BaseCommand):
    help = "Show what a database restored from a dump holds, and let it fire again without firing what is old."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--release", action="store_true", help="fire nothing old, cancel unfinished executions, continue"
        )
        what.add_argument("--moved", action="store_true", help="continue, if nothing ran since the dump")
        parser.add_argument("--keep-live", action="store_true", help="with --release: deliver unfinished executions")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["keep_live"] and not options["release"]:
            raise CommandError("--keep-live requires --release.")
        held, now = restoring.is_copy(), restoring.database_now()
        self.stdout.write(_HELD if held else _NOT_HELD)
        if options["moved"]:
            restoring.resume()
            self.stdout.write("Beats and workers continue. What was due since then follows each job's misfire policy.")
            return
        if not options["release"]:
            self._write_contents(restoring.inspect(now))
            self.stdout.write(_SEE)
            return
        if not held:
            _refuse_while_it_runs()
        self._write_result(restoring.bring_back(now, keep_live=options["keep_live"]), kept=options["keep_live"])

    def _write_contents(self, contents: Restored) -> None:
        latest = f"{contents.latest_run_at:%Y-%m-%d %H:%M:%S} UTC" if contents.latest_run_at else "none"
        for label, value in (
            ("start of its latest run", latest),
            ("jobs with occurrences due since", contents.due_jobs),
            ("unfinished executions", contents.live),
            ("executions scheduled for later, which stay", contents.planned),
            ("bulk operations in progress", contents.bulk_operations),
            ("sessions", contents.sessions),
        ):
            self.stdout.write(f"  {label}: {value}")

    def _write_result(self, result: Restored, *, kept: bool) -> None:
        self.stdout.write(
            f"  occurrences counted as missed, none of them fired: {result.missed}, of {result.due_jobs} jobs\n"
            f"  unfinished executions, {'which continue' if kept else 'canceled'}: {result.live}\n"
            f"  bulk operations, {'which continue' if kept else 'canceled'}: {result.bulk_operations}\n"
            f"  sessions ended: {result.sessions}\n"
            "Beats and workers continue."
        )


def _refuse_while_it_runs() -> None:
    """Raise CommandError if beats or workers are alive: where firing is not held, they would fire meanwhile."""
    if names := restoring.alive_processes():
        raise CommandError(
            f"{', '.join(names)} runs on this database, and firing is not held. Stop every beat and worker, wait half "
            "a minute, and try again."
        )
