"""`bin/proof`: interleavings for some minutes, or one by its seed. Run by `manage.py with_services`."""

import argparse
import os
import random
import sys
import time

import django

_MINUTE = 60
_TELL_EVERY_SECONDS = 10
_SEEDS = 1_000_000


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
    django.setup()
    from django.core.management import call_command

    from proof.turnstile.scenarios import CATALOGUE
    from proof.turnstile.search import Turnstile, turnstile
    from proof.turnstile.story import told

    parser = argparse.ArgumentParser(prog="bin/proof", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1, help="how long to search; 1 if left out")
    parser.add_argument("--seed", type=int, help="play the one interleaving of this seed, and tell its story")
    parser.add_argument("--only", choices=CATALOGUE, help="this scenario only")
    parser.add_argument("--all", action="store_true", help="go on after one that fails")
    options = parser.parse_args()
    call_command("migrate", verbosity=0)

    def search(gate: Turnstile, first: int) -> int:
        """Returns how many failed. Seeds are taken one after the other, from a random one on."""
        began = told_at = time.monotonic()
        played = failed = 0
        while (now := time.monotonic()) < began + options.minutes * _MINUTE:
            one = gate.play(first + played, only=options.only)
            played += 1
            if one.findings:
                failed += 1
                print(f"{told(one)}\n", flush=True)
            if failed and not options.all:
                break
            if now > told_at + _TELL_EVERY_SECONDS:
                told_at = now
                print(f"{played} interleavings, {played / (now - began) * _MINUTE:.0f} a minute", flush=True)
        print(f"{played} interleavings in {time.monotonic() - began:.0f} s, seeds from {first} on; {failed} failed.")
        return failed

    with turnstile() as gate:
        if options.seed is None:
            return 1 if search(gate, random.randrange(_SEEDS)) else 0
        one = gate.play(options.seed, only=options.only)
    print(told(one))
    return 1 if one.findings else 0


if __name__ == "__main__":
    sys.exit(main())
