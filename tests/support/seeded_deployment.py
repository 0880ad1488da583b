"""A deployment with seeded history and no beat or worker."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.deployment import Deployment, installed
from tests.support.deployment_databases import deployment_template
from tests.support.project import ROOT


@contextlib.contextmanager
def seeded_deployment(directory: Path, *, days: float) -> Iterator[Deployment]:
    """Yield a deployment with the last `days` of the seeded month."""
    with installed(deployment_template(), directory) as deployment:
        command = [sys.executable, "-m", "tests.support.seeded_month", "--days", str(days)]
        subprocess.run(command, cwd=ROOT, env=deployment.environment, check=True)
        yield deployment
