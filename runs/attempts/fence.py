"""The fence around what an attempt may change: its execution while that is its own."""

#: True while an `execution` runs the attempt of the row `moved`. It is one expression over both sides: from `status`
#: alone, while its statistics count few running executions, PostgreSQL would choose to scan the whole table for those.
IS_HELD = """
    CASE WHEN execution.status = 'running'
         THEN execution.lease_owner = moved.lease_owner AND execution.attempts = moved.attempts END
"""
