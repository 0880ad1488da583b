"""An installation with a month of history, and nobody who fires."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.house import House, installed
from tests.support.house_databases import house_template
from tests.support.project import ROOT


@contextlib.contextmanager
def seeded_house(directory: Path, *, days: float) -> Iterator[House]:
    """A house with the last `days` of the month."""
    with installed(house_template(), directory) as house:
        command = [sys.executable, "-m", "tests.support.seeded_month", "--days", str(days)]
        subprocess.run(command, cwd=ROOT, env=house.environment, check=True)
        yield house
