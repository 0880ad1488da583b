"""`manage.py restored`: what to do with a database that came out of a backup, before it fires again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from runs.restore import release as restoring
from runs.restore.release import Restored

_HELD = "This database was restored from a dump. Until you say what to do, nothing fires and nothing is delivered."
_NOT_HELD = "This database does not look like one restored from a dump, so nothing holds its clock."
_SEE = """
Nothing was changed. Look over what came back with the backup: jobs that were paused, edited or deleted since, API keys
that were revoked, members who had left. Then say one of these:
  manage.py restored --release              count what was due as missed, cancel what had not ended, log everybody out
  manage.py restored --release --keep-live  the same, but deliver what had not ended: it may be delivered twice
  manage.py restored --moved                nothing ran since the dump, as when Hourhand was stopped to move: go on"""


class Command(BaseCommand):
    help = "Say what a database restored from a backup holds, and let its clock go on without firing what is old."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--release", action="store_true", help="fire nothing old, cancel what had not ended, go on")
        what.add_argument("--moved", action="store_true", help="nothing ran since the dump: go on where it stopped")
        parser.add_argument("--keep-live", action="store_true", help="with --release: deliver what had not ended")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["keep_live"] and not options["release"]:
            raise CommandError("--keep-live goes with --release.")
        held, now = restoring.is_copy(), restoring.database_now()
        self.stdout.write(_HELD if held else _NOT_HELD)
        if options["moved"]:
            restoring.go_on()
            self.stdout.write("The clock and the workers go on; what was due since follows each job's misfire rule.")
            return
        if not options["release"]:
            self._tell(restoring.look(now))
            self.stdout.write(_SEE)
            return
        if not held:
            _refuse_while_it_runs()
        self._tell_done(restoring.bring_back(now, keep_live=options["keep_live"]), kept=options["keep_live"])

    def _tell(self, found: Restored) -> None:
        latest = f"{found.latest_run_at:%Y-%m-%d %H:%M:%S} UTC" if found.latest_run_at else "none"
        for words, count in (
            ("latest run in it began at", latest),
            ("jobs with something due since", found.due_jobs),
            ("executions that had not ended", found.live),
            ("executions planned for later, which stay", found.planned),
            ("bulk operations under way", found.bulk_operations),
            ("sessions", found.sessions),
        ):
            self.stdout.write(f"  {words}: {count}")

    def _tell_done(self, done: Restored, *, kept: bool) -> None:
        self.stdout.write(
            f"  occurrences counted as missed, none fired: {done.missed}, of {done.due_jobs} jobs\n"
            f"  executions that had not ended, {'which go on' if kept else 'canceled'}: {done.live}\n"
            f"  bulk operations, {'which go on' if kept else 'canceled'}: {done.bulk_operations}\n"
            f"  sessions ended: {done.sessions}\n"
            "The clock and the workers go on."
        )


def _refuse_while_it_runs() -> None:
    """Where nothing holds them, beats and workers would fire and deliver beside us. Raises CommandError."""
    if names := restoring.living():
        raise CommandError(
            f"{', '.join(names)} runs on this database, and nothing holds it. Stop every beat and worker, wait half a "
            "minute, and ask again."
        )
