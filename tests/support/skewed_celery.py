"""Celery with the clock of its process wrong: `python -m tests.support.skewed_celery SECONDS ARGUMENTS OF CELERY`."""

import datetime
import sys

import time_machine
from celery.__main__ import main

if __name__ == "__main__":
    offset = datetime.timedelta(seconds=float(sys.argv.pop(1)))
    # From the first import of the application on; Celery itself reads no clock before that.
    with time_machine.travel(datetime.datetime.now(datetime.UTC) + offset, tick=True):
        sys.exit(main())
