"""Structured logs on stderr: one line per event, as key=value, or JSON with HOURHAND_LOG_FORMAT=json.

Every process logs this way, Celery, Django and gunicorn included. docs/logs.md lists Hourhand's own events.
"""

import itertools
import logging
import logging.handlers
import re
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any

import structlog
from django.core.exceptions import ImproperlyConfigured

from core.env import Env

#: Loggers with a record for every message and maintenance task. Below DEBUG, only their warnings are logged.
_NOISY = ("celery.worker.strategy", "celery.app.trace", "celery.beat")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
# Paths whose next segment is a secret.
_SECRET_PATH = re.compile(r"(/invitations/[^/\s]+/|/hooks/(?:resume/)?)[^/\s]+")


def logging_from_env(env: Env) -> dict[str, Any]:
    """Return the LOGGING setting of HOURHAND_LOG_LEVEL and HOURHAND_LOG_FORMAT."""
    return logging_config(level=env.text("HOURHAND_LOG_LEVEL", "INFO"), style=env.text("HOURHAND_LOG_FORMAT", "text"))


def logging_config(*, level: str, style: str = "text") -> dict[str, Any]:
    """Build the LOGGING setting: structlog renders its own events and the records of every library."""
    if level.upper() not in _LEVELS:
        raise ImproperlyConfigured(f"HOURHAND_LOG_LEVEL: {level!r} should be one of {', '.join(_LEVELS)}.")
    if style not in {"text", "json"}:
        raise ImproperlyConfigured(f"HOURHAND_LOG_FORMAT: {style!r} should be text or json.")
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        _without_request,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    logging.captureWarnings(capture=True)  # else Python prints them as plain text
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False)
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    renderer,
                ],
                "foreign_pre_chain": shared,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {name: {"level": "DEBUG" if level.upper() == "DEBUG" else "WARNING"} for name in _NOISY},
    }


def follow_command_line(words: Sequence[str], *, logfile: str | None) -> None:
    """Apply Celery's `--loglevel` and `logfile`, which override the settings.

    Exits the process if the file can't be written.
    """
    logger = logging.getLogger()
    level = _option_level(words)
    if level is not None:
        logger.setLevel(level)
        for name in _NOISY:
            logging.getLogger(name).setLevel("DEBUG" if level == "DEBUG" else "WARNING")
    if logfile:
        try:
            handler = logging.handlers.WatchedFileHandler(logfile)
        except OSError as error:
            sys.exit(f"--logfile: {logfile} can't be written: {error.strerror}.")
        handler.setFormatter(next((other.formatter for other in logger.handlers if other.formatter), None))
        logger.handlers = [handler]


def _option_level(words: Sequence[str]) -> str | None:
    for word, following in itertools.zip_longest(words, words[1:], fillvalue=""):
        if word in ("-l", "--loglevel"):
            return following.upper()
        if match := re.fullmatch(r"(?:--loglevel=|-l=?)([A-Za-z]+)", word):
            return match[1].upper()
    return None


def _without_request(
    _logger: logging.Logger, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace a request by its method, since its text has the query; redact secrets in its path."""
    event.pop("message", None)  # another handler's formatter repeats the event here
    request = event.pop("request", None)
    if request is not None:
        event["method"] = getattr(request, "method", None)
        event["event"] = _SECRET_PATH.sub(r"\1[redacted]", str(event["event"]))
    return event
