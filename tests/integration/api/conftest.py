"""Workflows that run in this process, for tests of what the API shows of them and does to them."""

from tests.integration.runs.workflows.conftest import start, worker

__all__ = ["start", "worker"]
