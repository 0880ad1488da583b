"""Workflows on real Postgres, with a worker in this process."""

from tests.support.workflow_fixtures import start, worker

__all__ = ["start", "worker"]
