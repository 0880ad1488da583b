"""Read the settings at start, and exit with one line if one is wrong."""

import sys
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def is_celery() -> bool:
    """Return whether this process is `celery` or `python -m celery`."""
    return "celery" in Path(sys.argv[0]).parts[-2:]


def refuse_wrong_settings() -> None:
    """Read the settings, and exit if one is wrong, as `manage.py` does."""
    try:
        settings.INSTALLED_APPS  # noqa: B018 - reading any loads them all
    except ImproperlyConfigured as error:
        sys.exit(f"hourhand: {error}")
