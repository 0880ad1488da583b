"""`bin/chaos`: a storm of some minutes, and its report. Run by `manage.py with_services`."""

import argparse
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.acceptance.chaos.faults import catalogue
from tests.acceptance.chaos.flows import MANY
from tests.acceptance.chaos.house import WORKERS, standing
from tests.acceptance.chaos.report import report, verdicts
from tests.acceptance.chaos.storm import blows, rage
from tests.support.deployment_databases import deployment_template

_MINUTE = 60


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/chaos", description="Strike a house of real processes, and judge it.")
    parser.add_argument("--minutes", type=float, default=10, help="how long faults strike; 10 if left out")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="repeats a run's plan")
    only = "faults whose name holds this text, alone and in turn; may be said more than once"
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help=only)
    alone = f"worker processes; {WORKERS} if left out. With 1, what a stalled worker held is claimed again by itself"
    parser.add_argument("--workers", type=int, choices=range(1, 9), default=WORKERS, metavar="N", help=alone)
    many = f"workflows that start at once at the beginning; {MANY} if left out"
    parser.add_argument("--workflows", type=int, default=MANY, metavar="N", help=many)
    parser.add_argument("--report", type=Path, help="a file that the report is written to as well")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="hourhand-chaos-"))
    rng = random.Random(options.seed)
    for text in options.only:
        if not any(text in fault.name for fault in catalogue()):
            parser.error(f"--only: no fault's name holds '{text}'; docs/chaos.md lists them")
    faults = [fault for fault in catalogue(options.workers) if any(text in fault.name for text in options.only or [""])]
    planned = blows(rng, faults, together=not options.only)
    with standing(deployment_template(), directory, workers=options.workers) as house:
        storm = rage(
            house, planned, seconds=options.minutes * _MINUTE, rng=rng, tell=_tell, workflows=options.workflows
        )
        found = verdicts(storm, house)
        text = report(storm, house, found, seed=options.seed)
    print(f"\n{text}", flush=True)
    if options.report:
        options.report.write_text(text)
    if any(verdict.against for verdict in found):
        print(f"Logs, and the target's own, are in {directory}")
        return 1
    shutil.rmtree(directory, ignore_errors=True)
    return 0


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
