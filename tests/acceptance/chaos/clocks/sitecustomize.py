"""Found on PYTHONPATH by every Python that starts in a house of chaos: gives one beat or worker a wrong clock.

A file by the name of the kind of process holds how many seconds its clock is off; whoever starts next takes it, and
leaves it under its pid. Before the first import of the application, as in tests.support.skewed_celery.
"""

import os
import sys
from pathlib import Path


def _wear(orders: Path, kind: str) -> None:
    worn = orders / f"{kind}.{os.getpid()}"
    try:
        (orders / kind).rename(worn)
    except FileNotFoundError:
        return
    import datetime

    import time_machine

    offset = datetime.timedelta(seconds=float(worn.read_text()))
    time_machine.travel(datetime.datetime.now(datetime.UTC) + offset, tick=True).start()


if "celery" in sys.orig_argv and "CHAOS_CLOCKS" in os.environ:
    for _kind in {"beat", "worker"} & set(sys.orig_argv):
        _wear(Path(os.environ["CHAOS_CLOCKS"]), _kind)
