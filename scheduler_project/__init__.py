"""Wiring only: settings, Celery, URLs. The product lives in the packages beside it."""

from scheduler_project.celery import app as celery_app

__all__ = ["celery_app"]
