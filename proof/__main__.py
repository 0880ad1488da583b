"""`python -m proof`: search the model, and show why each guard is needed.

python -m proof            two workers, two attempts, three faults; then without each guard
python -m proof --large    three workers, three attempts, three faults: ten times as many states
"""

import argparse
import sys
import textwrap
import time

from proof.model.guards import Guards, location, says
from proof.model.reasons import CORE, SECOND_LINES, Reason, core_without, missed, still_held
from proof.model.search import SearchResult, search
from proof.model.state import Bounds
from proof.model.stories import story

STANDARD = Bounds(workers=2, max_attempts=2, faults=3)
LARGE = Bounds(workers=3, max_attempts=3, faults=3)


def main(arguments: list[str] | None = None) -> int:
    """Search, and print the results. Returns 1 if any is not as expected."""
    parser = argparse.ArgumentParser(prog="python -m proof", description="Search the model of the delivery protocol.")
    parser.add_argument(
        "--large", action="store_true", help="three workers and three attempts: ten times as many states"
    )
    parser.add_argument("--faults", type=int, help="the most faults; 3 by default")
    parser.add_argument("--stories", action="store_true", help="print the shortest counterexample for each guard")
    options = parser.parse_args(arguments)
    started = time.process_time()
    bounds = LARGE if options.large else STANDARD
    if options.faults is not None:
        bounds = bounds._replace(faults=options.faults)
    print(f"{bounds.workers} workers, {bounds.max_attempts} attempts, {bounds.faults} faults")
    as_expected = _report("the protocol", search(bounds, Guards()))
    as_expected &= _report("without its second lines", search(bounds, core_without()))
    for reason in (*CORE, *SECOND_LINES):
        as_expected &= _reason(reason, stories=options.stories)
    print(f"{time.process_time() - started:.1f} seconds: {'all as expected' if as_expected else 'NOT AS EXPECTED'}")
    return 0 if as_expected else 1


def _report(title: str, result: SearchResult) -> bool:
    verdict = "every invariant holds" if result.violation is None else f"BROKEN: {result.violation.invariant.name}"
    print(f"{title}: {result.states:,} states, {result.steps:,} steps, {result.seconds:.1f} seconds: {verdict}")
    if result.violation is not None:
        _print_story(result)
    return result.violation is None


def _reason(reason: Reason, *, stories: bool) -> bool:
    result = missed(reason)
    holds = not reason.behind or still_held(reason).violation is None
    broken = result.violation.invariant if result.violation else None
    as_expected = holds and broken is reason.invariant
    second = f" (second line, behind {' and '.join(reason.behind)})" if reason.behind else ""
    print(f"\n{reason.guard}{second}: {says(reason.guard)}, {location(reason.guard)}")
    consequence = "no invariant breaks" if broken is None else broken.name
    print(f"    without it: {consequence}{'' if as_expected else '  NOT AS LISTED'}")
    if stories or not as_expected:
        _print_story(result)
    return as_expected


def _print_story(result: SearchResult) -> None:
    for sentence in story(result.violation) if result.violation else ():
        print(textwrap.fill(sentence, 110, initial_indent="      - ", subsequent_indent="        "))


if __name__ == "__main__":
    sys.exit(main())
