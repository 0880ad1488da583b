"""`python -m proof`: search the model, and show what each guard is good for.

python -m proof            two workers, two attempts, three faults; then every guard that is switched off
python -m proof --large    three workers, three attempts, three faults: ten times as many states
"""

import argparse
import sys
import textwrap
import time

from proof.model.guards import Guards, place, says
from proof.model.reasons import CORE, SECOND_LINES, Reason, core_without, missed, still_held
from proof.model.search import Found, search
from proof.model.state import Bounds
from proof.model.stories import story

STANDARD = Bounds(workers=2, max_attempts=2, troubles=3)
LARGE = Bounds(workers=3, max_attempts=3, troubles=3)


def main(arguments: list[str] | None = None) -> int:
    """Search, and print what was found. Returns 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m proof", description="Search the model of the delivery protocol.")
    parser.add_argument(
        "--large", action="store_true", help="three workers and three attempts: ten times as many states"
    )
    parser.add_argument("--troubles", type=int, help="how many faults there may be, instead of 3")
    parser.add_argument("--stories", action="store_true", help="tell how it breaks without each guard")
    given = parser.parse_args(arguments)
    started = time.process_time()
    bounds = LARGE if given.large else STANDARD
    if given.troubles is not None:
        bounds = bounds._replace(troubles=given.troubles)
    print(f"{bounds.workers} workers, {bounds.max_attempts} attempts, {bounds.troubles} faults")
    good = _shown("the protocol", search(bounds, Guards()))
    good &= _shown("without its second lines", search(bounds, core_without()))
    for reason in (*CORE, *SECOND_LINES):
        good &= _reason(reason, stories=given.stories)
    print(f"{time.process_time() - started:.1f} seconds: {'all as it should be' if good else 'NOT AS IT SHOULD BE'}")
    return 0 if good else 1


def _shown(title: str, found: Found) -> bool:
    verdict = "every invariant holds" if found.violation is None else f"BROKEN: {found.violation.invariant.name}"
    print(f"{title}: {found.states:,} states, {found.steps:,} steps, {found.seconds:.1f} seconds: {verdict}")
    if found.violation is not None:
        _told(found)
    return found.violation is None


def _reason(reason: Reason, *, stories: bool) -> bool:
    found = missed(reason)
    held = not reason.behind or still_held(reason).violation is None
    broken = found.violation.invariant if found.violation else None
    good = held and broken is reason.invariant
    second = f" (second line, behind {' and '.join(reason.behind)})" if reason.behind else ""
    print(f"\n{reason.guard}{second}: {says(reason.guard)}, {place(reason.guard)}")
    print(
        f"    without it: {'nothing is broken' if broken is None else broken.name}{'' if good else '  NOT AS LISTED'}"
    )
    if stories or not good:
        _told(found)
    return good


def _told(found: Found) -> None:
    for sentence in story(found.violation) if found.violation else ():
        print(textwrap.fill(sentence, 110, initial_indent="      - ", subsequent_indent="        "))


if __name__ == "__main__":
    sys.exit(main())
