"""The Celery application: `celery -A scheduler_project worker` and `celery -A scheduler_project beat`."""

import os
import sys

from celery import Celery
from celery.signals import setup_logging
from kombu import Exchange, Queue

from scheduler_project.logs import follow_command_line
from scheduler_project.starting import is_celery, refuse_wrong_settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
# Django's checks import the URLs, and with them the admin and the API: a second and 20 MB for beats and workers.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

if is_celery():
    refuse_wrong_settings()
app = Celery("hourhand")
app.config_from_object("django.conf:settings", namespace="CELERY")
# A message is acknowledged when its task starts. Until then it counts as prefetched, so a full worker takes no more.
app.conf.task_queues = [
    Queue("deliveries", Exchange("deliveries"), routing_key="deliveries"),
    Queue("chores", Exchange("chores"), routing_key="chores"),
]
app.autodiscover_tasks(["workers", "ops"])
# Named, not imported: it needs Django, which is set up when the worker starts.
app.steps["worker"].add("workers.worker.process:DeliveryStep")
# By name too, so that this module does not import the workers: `celery inspect` asks the app for its commands.
app.loader.import_task_module("workers.worker.control")


@setup_logging.connect
def _keep_django_logging(logfile: str | None = None, **_: object) -> None:
    """Keep settings.LOGGING: Celery does not configure logging if this signal has a receiver.

    Only its command-line options apply.
    """
    follow_command_line(sys.argv, logfile=logfile)
