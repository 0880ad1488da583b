"""Workflows that run in this process, for tests of what the API shows of them and does to them."""

from tests.support.workflow_fixtures import start, worker

__all__ = ["start", "worker"]
