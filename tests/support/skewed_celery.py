"""Celery with a skewed clock: `python -m tests.support.skewed_celery SECONDS CELERY_ARGUMENTS`."""

import datetime
import sys

import time_machine
from celery.__main__ import main

if __name__ == "__main__":
    offset = datetime.timedelta(seconds=float(sys.argv.pop(1)))
    # Before the application is imported; Celery reads no clock earlier.
    with time_machine.travel(datetime.datetime.now(datetime.UTC) + offset, tick=True):
        sys.exit(main())
