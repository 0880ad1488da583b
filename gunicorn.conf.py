"""What gunicorn reads wherever it is started in this folder; the command line may say otherwise."""

import os

from scheduler_project.starting import refuse_wrong_settings

# Here, before anything is started: each web process would tell of a wrong setting by a traceback, again and again.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
refuse_wrong_settings()

logger_class = "scheduler_project.web_log.WebLog"
