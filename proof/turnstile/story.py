"""Prints an interleaving: the findings, then each step in order with its actor."""

from proof.turnstile.search import Interleaving

_NAME_WIDTH = 12


def describe(interleaving: Interleaving) -> str:
    """The text for a terminal; its last line says how to repeat the interleaving."""
    lines = [
        f"seed {interleaving.seed}: {interleaving.scenario}",
        *(f"  ! {finding}" for finding in interleaving.findings),
        "",
    ]
    for number, line in enumerate(interleaving.story, 1):
        lines.append(f"{number:4}  {line.actor:<{_NAME_WIDTH}} {line.text}")
    only = f' --only "{interleaving.only}"' if interleaving.only else ""
    return "\n".join([*lines, "", f"Again: bin/proof --seed {interleaving.seed}{only}"])
