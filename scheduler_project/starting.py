"""What processes of the house do first: they read their settings, and end with one line where one is wrong."""

import sys
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def is_celery() -> bool:
    """If this process is a command of Celery: `celery`, or `python -m celery`."""
    return "celery" in Path(sys.argv[0]).parts[-2:]


def refuse_wrong_settings() -> None:
    """Read the settings, and end this process where one is wrong. `manage.py` does so by itself."""
    try:
        settings.INSTALLED_APPS  # noqa: B018 - any of them reads all
    except ImproperlyConfigured as error:
        sys.exit(f"hourhand: {error}")
