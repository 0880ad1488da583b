"""Gunicorn's settings. Its command line overrides them."""

import os

from django.conf import settings

from scheduler_project.starting import refuse_wrong_settings

# Before the web processes start: each would print a traceback about a wrong setting, and be restarted.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
refuse_wrong_settings()

worker_class = "scheduler_project.web.worker.WebWorker"
workers = 2
threads = 8
keepalive = settings.KEEP_ALIVE_SECONDS
graceful_timeout = 10
timeout = 60
http_parser = "python"  # scheduler_project.web.connection reads this parser's state
asgi_loop = "asyncio"
limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190
control_socket_disable = True
logger_class = "scheduler_project.web_log.WebLog"
