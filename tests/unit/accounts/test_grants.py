"""Nobody grants more than they have: over scopes, environments and expiry."""

import datetime
import uuid

from hypothesis import given
from hypothesis import strategies as st

from accounts.grants import Grant

START = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
SCOPES = ("jobs:read", "jobs:write", "admin")
PLACES = tuple(uuid.UUID(int=number) for number in range(3))
#: A future environment: only grants over the whole workspace will cover it.
TO_COME = uuid.UUID(int=99)
INSTANTS = tuple(START + datetime.timedelta(days=day) for day in range(4))

grants = st.builds(
    Grant,
    scopes=st.frozensets(st.sampled_from(SCOPES), min_size=1),
    environment_ids=st.none() | st.frozensets(st.sampled_from(PLACES)),
    expires_at=st.none() | st.sampled_from(INSTANTS[1:]),
    is_owner=st.booleans(),
)


def reach_of(grant: Grant) -> set[tuple[str, uuid.UUID | None, datetime.datetime]]:
    """Return everything that a grant allows: a scope in an environment (None: the whole workspace) at an instant."""
    everywhere: list[uuid.UUID | None] = [None, *PLACES, TO_COME]
    places = everywhere if grant.environment_ids is None else list(grant.environment_ids)
    instants = [at for at in INSTANTS if grant.expires_at is None or at < grant.expires_at]
    if grant.expires_at is None:
        instants.append(START + datetime.timedelta(days=10_000))
    return {(scope, place, at) for scope in grant.scopes for place in places for at in instants}


@given(grants, grants)
def test_a_grant_within_another_allows_nothing_more(wanted: Grant, limit: Grant) -> None:
    if not wanted.beyond(limit):
        assert reach_of(wanted) <= reach_of(limit)
        assert limit.is_owner or not wanted.is_owner


@given(grants, grants)
def test_a_grant_beyond_another_allows_more_in_some_respect(wanted: Grant, limit: Grant) -> None:
    """Except for a key without environments, whose scopes and expiry would count once it had one."""
    if wanted.beyond(limit) and wanted.environment_ids != frozenset():
        assert not reach_of(wanted) <= reach_of(limit) or wanted.is_owner


@given(grants, grants, grants)
def test_a_chain_of_grants_reaches_no_further_than_the_first(first: Grant, second: Grant, third: Grant) -> None:
    if not second.beyond(first) and not third.beyond(second):
        assert not third.beyond(first)


@given(grants)
def test_everybody_may_grant_exactly_what_they_have(grant: Grant) -> None:
    assert grant.beyond(grant) == ()


def test_each_excess_is_named() -> None:
    limit = Grant(frozenset({"admin"}), frozenset(PLACES[:1]), INSTANTS[1])
    wanted = Grant(frozenset({"admin", "jobs:write"}), None, None, is_owner=True)
    assert wanted.beyond(limit) == ("the scopes jobs:write", "all environments", "a later expiry", "the role owner")
    assert Grant(frozenset(), frozenset(PLACES), INSTANTS[1]).beyond(limit) == ("other environments",)
