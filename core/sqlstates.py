"""What an error of PostgreSQL means for who met it: by its SQLSTATE, never by its Python class alone.

A database that refuses is away: read-only after a failover, out of disk or of connections, a table locked, a statement
timed out, a column missing while an upgrade is under way. What was to be stored waits and is tried again. Only data
that can't be stored is different: it can't be stored later either.

Source: PostgreSQL's documentation, appendix A, "PostgreSQL Error Codes".
"""

import psycopg2

#: Data exceptions and violated constraints: this very row is refused, now and later.
_DATA_CLASSES = frozenset({"22", "23"})
#: The connection is gone, or leads to a server that takes no writes any more: another one has to be made.
_CONNECTION_CLASSES = frozenset({"08", "28", "3D"})
_CONNECTION_STATES = frozenset({"57P01", "57P02", "57P03", "57P05", "25006"})
#: What an answer of the API means by "try again": the caller's request was in order.
_PASSING_CLASSES = frozenset({"08", "28", "3D", "40", "53", "55", "57", "58"})
_PASSING_STATES = frozenset({"25006", "42703", "42P01", "XX001"})


def is_about_data(error: BaseException) -> bool:
    """Whether the data that was to be stored can't be stored at all."""
    state = _state(error)
    if state is not None:
        return state[:2] in _DATA_CLASSES
    # Raised before anything was sent: a text that can't be encoded or holds a NUL, a value that can't be adapted.
    return isinstance(error, ValueError | psycopg2.DataError | psycopg2.ProgrammingError)


def ends_connection(error: BaseException) -> bool:
    """Whether the connection that met it is of no more use."""
    state = _state(error)
    if state is None:
        return not isinstance(error, ValueError | psycopg2.DataError | psycopg2.ProgrammingError)
    return state[:2] in _CONNECTION_CLASSES or state in _CONNECTION_STATES


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed once the database takes it: away, full, locked, or being upgraded."""
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
