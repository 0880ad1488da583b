"""Interleavings of the real SQL: many seeds keep the rules, and the turnstile finds each mutant."""

import time
from collections.abc import Iterator

import pytest

from proof.turnstile.connections import mutated
from proof.turnstile.mutants import Mutant, mutants
from proof.turnstile.scenarios import CATALOGUE
from proof.turnstile.search import Interleaving, Turnstile, turnstile
from proof.turnstile.story import describe

pytestmark = pytest.mark.django_db(transaction=True)

#: Per scenario: as many as fit into these seconds, and at least this many.
SECONDS, LEAST, LEAST_FULL = 5.0, 25, 2000
#: A mutant is found within this many interleavings of its scenario.
WITHIN = 400


@pytest.fixture
def gate() -> Iterator[Turnstile]:
    with turnstile() as made:
        yield made


@pytest.mark.parametrize("scenario", CATALOGUE)
def test_every_interleaving_keeps_the_rules(gate: Turnstile, scenario: str, full: bool) -> None:
    until, least = time.monotonic() + SECONDS, LEAST_FULL if full else LEAST
    seed = 0
    while seed < least or time.monotonic() < until:
        interleaving = gate.play(seed, only=scenario)
        assert not interleaving.findings, describe(interleaving)
        seed += 1


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_every_mutant_is_found(gate: Turnstile, mutant: Mutant) -> None:
    with mutated(mutant):
        seen = next((one for seed in range(WITHIN) if (one := gate.play(seed, only=mutant.scenario)).findings), None)
    assert mutant.matches, "no statement has this guard any more: the mutant must be written anew"
    assert seen is not None


@pytest.mark.parametrize("scenario", ["the same worker again", "two workers", "overlap queue"])
@pytest.mark.parametrize("seed", [3, 17])
def test_a_seed_reproduces_its_story(gate: Turnstile, scenario: str, seed: int) -> None:
    first, _, again = (gate.play(number, only=scenario) for number in (seed, seed + 1, seed))
    assert len(first.story) > 10
    assert again.story == first.story


def test_a_story_names_the_violation_the_actor_and_the_seed(gate: Turnstile) -> None:
    (forgetful,) = [mutant for mutant in mutants() if mutant.name == "a give-back that names no attempt"]
    with mutated(forgetful):
        interleaving = _first_that_fails(gate, forgetful.scenario)
    text = describe(interleaving)
    assert "for A who named E1#1" in text
    assert "gives back E1#1" in text
    assert f'bin/proof --seed {interleaving.seed} --only "the same worker again"' in text


def _first_that_fails(gate: Turnstile, scenario: str) -> Interleaving:
    return next(interleaving for seed in range(WITHIN) if (interleaving := gate.play(seed, only=scenario)).findings)
