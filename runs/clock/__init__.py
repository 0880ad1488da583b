"""From a schedule to rows: what is due, what is fired, what is skipped, and what is sent again."""
