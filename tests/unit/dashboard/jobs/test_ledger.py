"""The ledger's card on a job's page."""

from dashboard.jobs import ledger
from runs.ledger.explain import LedgerVerdict


def test_every_verdict_has_an_appearance() -> None:
    assert set(ledger._LOOKS) == set(LedgerVerdict)
