"""Workflows on real Postgres, for the parts of a worker that continue them."""

from tests.support.workflow_fixtures import start, worker

__all__ = ["start", "worker"]
