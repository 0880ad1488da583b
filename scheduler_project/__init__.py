"""Wiring only: settings, Celery, URLs, the API's shape. The product lives in accounts, jobs, runs and workers."""

__version__ = "0.1.0"
#: What outgoing calls say they are, unless the job says otherwise.
USER_AGENT = f"Hourhand/{__version__}"

from scheduler_project.celery import app as celery_app  # noqa: E402

__all__ = ["USER_AGENT", "__version__", "celery_app"]
