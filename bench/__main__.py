"""Measures the performance budget and its peers, and prints one table.

    manage.py with_services -- python -m bench [--quick] [--only MEASURE ...] [--rounds N] [--json FILE]

Each measure alternates Hourhand and its peers, and reports medians of rounds. A measure that fails is listed with the
reason, and the others continue. The exit status is 1 if a demand was missed or not measured. `--quick` takes a few
minutes, at sizes that show whether everything works, not how fast it is: then missed demands do not count.
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

_QUICK = "--quick: small sizes show whether everything works, not how fast it is. Ignore the verdicts."


def attempted(measure: str, sizes: Sizes) -> Findings:
    """The findings of a measure. If it fails, each of its demands has the reason."""
    stage.report(f"\n== {measure}")
    started = time.monotonic()
    try:
        findings = measured(measure, sizes)
    except Exception as error:
        traceback.print_exc()
        reason = Reached(None, note=f"{type(error).__name__}: {error}".partition("\n")[0])
        findings = Findings({demand.name: reason for demand in DEMANDS if demand.measure == measure})
    stage.report(f"   took {time.monotonic() - started:.0f} s")
    return findings


def lines_of(findings: dict[str, Findings], sizes: Sizes) -> list[Line]:
    return [
        Line(demand.text(sizes), demand.limit, *findings[demand.measure].reached[demand.name])
        for demand in DEMANDS
        if demand.measure in findings
    ]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="small sizes and one round")
    parser.add_argument(
        "--only", nargs="+", choices=MEASURES, default=MEASURES, metavar="MEASURE", help=", ".join(MEASURES)
    )
    parser.add_argument("--rounds", type=int, help=f"rounds of each measure ({FULL.rounds})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to FILE")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    sizes = QUICK if options.quick else FULL
    if options.rounds:
        sizes = dataclasses.replace(sizes, rounds=options.rounds)
    stage.set_up()
    about = {
        "measured_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine.machine(),
        "versions": machine.versions(),
        "quick": options.quick,
        "sizes": dataclasses.asdict(sizes),
    }
    findings = {measure: attempted(measure, sizes) for measure in MEASURES if measure in options.only}
    lines = lines_of(findings, sizes)
    delivery = findings.get("delivery", Findings({}))
    print(f"{about['measured_at']}: {machine.as_text(about['machine'])}")
    print(machine.as_text(about["versions"]))
    print(f"medians of {sizes.rounds} alternating rounds" if sizes.rounds > 1 else "a single round")
    print(f"{_QUICK}\n" if options.quick else "")
    print(table(lines))
    if delivery.rate is not None:
        print(f"\n{peers_table(delivery.rate, delivery.peers)}")
    if options.json:
        options.json.write_text(json.dumps(as_json(lines, delivery.rate, delivery.peers, about), indent=2) + "\n")
    unmeasured = any(line.reached is None for line in lines)
    missed = any(line.verdict == "missed" for line in lines)
    return int(unmeasured or (missed and not options.quick))


if __name__ == "__main__":
    sys.exit(main())
