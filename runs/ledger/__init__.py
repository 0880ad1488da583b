"""The ledger: planned occurrences compared with recorded ones, with the reason of each difference."""
