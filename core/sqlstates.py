"""Classifies errors of PostgreSQL by their SQLSTATE, never by their Python class alone.

A database that refuses counts as away: read-only after a failover, out of disk or connections, a table locked, a
statement timed out, a column missing during an upgrade. The caller keeps its data and tries again. Only data that can't
be stored is different: it can't be stored later either.

Source: PostgreSQL's documentation, appendix A, "PostgreSQL Error Codes".
"""

import psycopg2

#: Data exceptions and violated constraints: the row is refused now and later.
_DATA_CLASSES = frozenset({"22", "23"})
#: The connection is closed, or leads to a server that no longer takes writes: reconnect.
_CONNECTION_CLASSES = frozenset({"08", "28", "3D"})
_CONNECTION_STATES = frozenset({"57P01", "57P02", "57P03", "57P05", "25006"})
#: The API answers "try again" to these: the request itself is valid.
_PASSING_CLASSES = frozenset({"08", "28", "3D", "40", "53", "55", "57", "58"})
_PASSING_STATES = frozenset({"25006", "42703", "42P01", "XX001"})


def is_about_data(error: BaseException) -> bool:
    """Whether the data can never be stored."""
    state = _state(error)
    if state is not None:
        return state[:2] in _DATA_CLASSES
    # Raised before anything is sent: a text that can't be encoded or holds a NUL, a value that can't be adapted.
    return isinstance(error, ValueError | psycopg2.DataError | psycopg2.ProgrammingError)


def ends_connection(error: BaseException) -> bool:
    """Whether the connection can't be used any more."""
    state = _state(error)
    if state is None:
        return not isinstance(error, ValueError | psycopg2.DataError | psycopg2.ProgrammingError)
    return state[:2] in _CONNECTION_CLASSES or state in _CONNECTION_STATES


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed later: the database is away, full, locked, or being upgraded."""
    state = _state(error)
    if state is None:
        return isinstance(_cause(error), psycopg2.OperationalError | psycopg2.InterfaceError)
    return state[:2] in _PASSING_CLASSES or state in _PASSING_STATES


def _state(error: BaseException) -> str | None:
    return getattr(_cause(error), "pgcode", None)


def _cause(error: BaseException) -> BaseException:
    """psycopg2's own error, which Django wraps."""
    if not isinstance(error, psycopg2.Error) and isinstance(error.__cause__, psycopg2.Error):
        return error.__cause__
    return error
