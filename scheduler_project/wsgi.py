"""The WSGI entry point that gunicorn serves."""

import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from core.stopping import notice_signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
application = get_wsgi_application()
notice_signals()
import_module(settings.ROOT_URLCONF)  # now, so that the first request doesn't wait for it
settings.SECRET_KEY  # noqa: B018 - Django refuses an empty key here instead of at the first request
