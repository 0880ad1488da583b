"""The command line with a key of the workspace."""

from pathlib import Path

import pytest

from accounts.actors import SYSTEM
from accounts.api_keys import issue_key
from accounts.models import Scope, Workspace
from tests.support.in_process_api import Terminal


@pytest.fixture
def terminal(workspace: Workspace, tmp_path: Path) -> Terminal:
    issued = issue_key(
        workspace=workspace, name="laptop", scopes=list(Scope), environments=None, expires_at=None, actor=SYSTEM
    )
    return Terminal(issued.key, tmp_path)
