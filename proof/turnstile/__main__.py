"""`bin/proof`: interleavings for some minutes, or one by its seed. Run by `manage.py with_services`."""

import argparse
import os
import random
import sys
import time

import django

_MINUTE = 60
_REPORT_SECONDS = 10
_SEEDS = 1_000_000


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
    django.setup()
    from django.core.management import call_command

    from proof.turnstile.scenarios import CATALOGUE
    from proof.turnstile.search import Turnstile, turnstile
    from proof.turnstile.story import describe

    parser = argparse.ArgumentParser(prog="bin/proof", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1, help="how long to search; 1 by default")
    parser.add_argument("--seed", type=int, help="play the interleaving of this seed only, and tell its story")
    parser.add_argument("--only", choices=CATALOGUE, help="play this scenario only")
    parser.add_argument("--all", action="store_true", help="continue after a failure")
    options = parser.parse_args()
    call_command("migrate", verbosity=0)

    def search(gate: Turnstile, first: int) -> int:
        """Play consecutive seeds. Returns how many interleavings failed."""
        started = reported_at = time.monotonic()
        played = failed = 0
        while (now := time.monotonic()) < started + options.minutes * _MINUTE:
            interleaving = gate.play(first + played, only=options.only)
            played += 1
            if interleaving.findings:
                failed += 1
                print(f"{describe(interleaving)}\n", flush=True)
            if failed and not options.all:
                break
            if now > reported_at + _REPORT_SECONDS:
                reported_at = now
                print(f"{played} interleavings, {played / (now - started) * _MINUTE:.0f} a minute", flush=True)
        print(f"{played} interleavings in {time.monotonic() - started:.0f} s, seeds from {first} on; {failed} failed.")
        return failed

    with turnstile() as gate:
        if options.seed is None:
            return 1 if search(gate, random.randrange(_SEEDS)) else 0
        interleaving = gate.play(options.seed, only=options.only)
    print(describe(interleaving))
    return 1 if interleaving.findings else 0


if __name__ == "__main__":
    sys.exit(main())
