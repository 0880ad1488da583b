"""The performance budget, all of it, with its peers: one command, one table.

    manage.py with_services -- python -m bench [--quick] [--only MEASURE ...] [--rounds N] [--json FILE]

Each measure takes its peers and Hourhand by turns and tells medians of rounds. What can't be measured is told with its
reason; the others are measured all the same. The exit status is 1 where a demand was missed or not measured. `--quick`
takes a few minutes at sizes that show that everything works, not how fast it is: then only the latter counts.
"""

import argparse
import dataclasses
import datetime
import json
import os
import sys
import time
import traceback
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django.setup()

from bench import machine, stage  # noqa: E402
from bench.budget import Line, as_json, peers_table, table  # noqa: E402
from bench.demands import DEMANDS, FULL, MEASURES, QUICK, Sizes  # noqa: E402
from bench.measures import Findings, Reached, measured  # noqa: E402

_QUICK = "--quick: small sizes show that everything works, not how fast it is; the verdicts are not the budget's."


def attempted(measure: str, sizes: Sizes) -> Findings:
    """What a measure finds; where it fails, why it did, for each of its demands."""
    stage.tell(f"\n== {measure}")
    began = time.monotonic()
    try:
        found = measured(measure, sizes)
    except Exception as error:
        traceback.print_exc()
        reason = Reached(None, note=f"{type(error).__name__}: {error}".partition("\n")[0])
        found = Findings({demand.name: reason for demand in DEMANDS if demand.measure == measure})
    stage.tell(f"   took {time.monotonic() - began:.0f} s")
    return found


def lines_of(findings: dict[str, Findings], sizes: Sizes) -> list[Line]:
    return [
        Line(demand.told(sizes), demand.limit, *findings[demand.measure].reached[demand.name])
        for demand in DEMANDS
        if demand.measure in findings
    ]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="small sizes and one round")
    parser.add_argument(
        "--only", nargs="+", choices=MEASURES, default=MEASURES, metavar="MEASURE", help=", ".join(MEASURES)
    )
    parser.add_argument("--rounds", type=int, help=f"of each measure; {FULL.rounds} unless told")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there, too")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    sizes = QUICK if given.quick else FULL
    if given.rounds:
        sizes = dataclasses.replace(sizes, rounds=given.rounds)
    stage.set_up()
    about = {
        "measured_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine.machine(),
        "versions": machine.versions(),
        "quick": given.quick,
        "sizes": dataclasses.asdict(sizes),
    }
    findings = {measure: attempted(measure, sizes) for measure in MEASURES if measure in given.only}
    lines = lines_of(findings, sizes)
    raced = findings.get("delivery", Findings({}))
    print(f"{about['measured_at']}: {machine.told(about['machine'])}")
    print(machine.told(about["versions"]))
    print(f"medians of {sizes.rounds} rounds by turns" if sizes.rounds > 1 else "a single round")
    print(f"{_QUICK}\n" if given.quick else "")
    print(table(lines))
    if raced.rate is not None:
        print(f"\n{peers_table(raced.rate, raced.peers)}")
    if given.json:
        given.json.write_text(json.dumps(as_json(lines, raced.rate, raced.peers, about), indent=2) + "\n")
    unmeasured = any(line.reached is None for line in lines)
    missed = any(line.verdict == "missed" for line in lines)
    return int(unmeasured or (missed and not given.quick))


if __name__ == "__main__":
    sys.exit(main())
