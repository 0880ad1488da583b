"""Public names are unchanged, or their change is recorded on purpose."""

import pytest

from tests.support.surface import KEPT, lines


@pytest.mark.django_db
def test_no_public_name_has_changed_unnoticed() -> None:
    now, before = set(lines()), set(KEPT.read_text().splitlines())
    assert len(before) > 500
    assert (sorted(before - now), sorted(now - before)) == ([], []), "see tests/support/surface.py"
