"""A pytest plugin: each test process has its own Redis database, as pytest-django does for PostgreSQL.

Loaded with `-p`, before Django's settings are read.
"""

import os
import re

_worker = os.environ.get("PYTEST_XDIST_WORKER")
if _worker:
    os.environ["REDIS_URL"] = re.sub(r"\bdb=0$", f"db={int(_worker.removeprefix('gw')) + 1}", os.environ["REDIS_URL"])
