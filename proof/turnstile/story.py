"""Tells a failing interleaving: what is wrong, then each step in order, in a column for who took it."""

from proof.turnstile.search import Played

_NAME_WIDTH = 12


def told(played: Played) -> str:
    """For a terminal; the last line says how to see it again."""
    lines = [f"seed {played.seed}: {played.scenario}", *(f"  ! {finding}" for finding in played.findings), ""]
    for number, line in enumerate(played.story, 1):
        lines.append(f"{number:4}  {line.actor:<{_NAME_WIDTH}} {line.text}")
    only = f' --only "{played.only}"' if played.only else ""
    return "\n".join([*lines, "", f"Again: bin/proof --seed {played.seed}{only}"])
