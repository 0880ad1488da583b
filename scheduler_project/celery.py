"""The Celery application: `celery -A scheduler_project worker` and `celery -A scheduler_project beat`."""

import os
import sys

from celery import Celery
from celery.signals import setup_logging
from kombu import Exchange, Queue

from scheduler_project.logs import follow_command_line
from scheduler_project.starting import is_celery, refuse_wrong_settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
# Django's checks would read the URLs, and with them the admin and the API: a second and 20 MB for beats and workers.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

if is_celery():
    refuse_wrong_settings()
app = Celery("hourhand")
app.config_from_object("django.conf:settings", namespace="CELERY")
# A message is acknowledged as its task starts. Until then it counts as prefetched, which holds back a full worker.
app.conf.task_queues = [
    Queue("deliveries", Exchange("deliveries"), routing_key="deliveries"),
    Queue("chores", Exchange("chores"), routing_key="chores"),
]
app.autodiscover_tasks(["workers", "ops"])
# Named, not imported: it needs Django, which is set up when the worker starts.
app.steps["worker"].add("workers.worker.process:DeliveryStep")
# By name too, so that nothing here depends on the workers: `celery inspect` asks the app which commands there are.
app.loader.import_task_module("workers.worker.control")


@setup_logging.connect
def _keep_django_logging(logfile: str | None = None, **_: object) -> None:
    """Celery leaves logging alone when this signal has a receiver: settings.LOGGING already configured it.

    But for what is said on its command line, which names a level even where nobody did.
    """
    follow_command_line(sys.argv, logfile=logfile)
