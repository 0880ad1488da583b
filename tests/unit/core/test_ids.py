"""Ids of executions and runs: ordered by time, and unique."""

import datetime
import uuid

from hypothesis import given
from hypothesis import strategies as st

from core.ids import first_uuid7_at, uuid7_text_at, uuid7_texts_at

INSTANTS = st.floats(0, 7e9).map(lambda seconds: datetime.datetime.fromtimestamp(seconds, datetime.UTC))


@given(INSTANTS, st.integers(0, 600))
def test_ids_of_one_instant_are_distinct_and_contain_it(instant: datetime.datetime, count: int) -> None:
    ids = [uuid.UUID(text) for text in uuid7_texts_at(instant, count)]
    assert len(set(ids)) == count
    for one in ids:
        assert (one.version, one.variant) == (7, uuid.RFC_4122)
        assert one.int >> 64 == uuid.UUID(uuid7_text_at(instant)).int >> 64


@given(INSTANTS)
def test_an_id_lies_between_the_bounds_of_its_millisecond(instant: datetime.datetime) -> None:
    (made,) = uuid7_texts_at(instant, 1)
    after = instant + datetime.timedelta(milliseconds=1)
    assert first_uuid7_at(instant) <= uuid.UUID(made) < first_uuid7_at(after)
