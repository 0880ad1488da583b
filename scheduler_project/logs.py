"""Structured logs: one line per event, key=value on a terminal's stderr, JSON when HOURHAND_LOG_FORMAT is json.

Every process logs so, with what Celery, Django and gunicorn say in the same form. docs/logs.md lists our own events.
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

#: They tell of every message and chore that comes and goes, some every few seconds: that is for those who debug. What
#: fails is told all the same.
_BUSY = ("celery.worker.strategy", "celery.app.trace", "celery.beat")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
# Where a path goes on with what only one person may know.
_SECRET_PATH = re.compile(r"(/invitations/[^/\s]+/|/hooks/(?:resume/)?)[^/\s]+")


def chosen_logging(env: Env) -> dict[str, Any]:
    """What the operator chose by HOURHAND_LOG_LEVEL and HOURHAND_LOG_FORMAT."""
    return logging_config(level=env.text("HOURHAND_LOG_LEVEL", "INFO"), style=env.text("HOURHAND_LOG_FORMAT", "text"))


def logging_config(*, level: str, style: str = "text") -> dict[str, Any]:
    """The LOGGING setting: structlog renders both its own events and the records of every library."""
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
    logging.captureWarnings(capture=True)  # Python's own would be plain text in between
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
        "loggers": {name: {"level": "DEBUG" if level.upper() == "DEBUG" else "WARNING"} for name in _BUSY},
    }


def follow_command_line(words: Sequence[str], *, logfile: str | None) -> None:
    """Log at the level that `--loglevel` says, if it is there, and into `logfile`: both go before the settings.

    Ends the process where the file can't be written.
    """
    logger = logging.getLogger()
    level = _said_level(words)
    if level is not None:
        logger.setLevel(level)
        for name in _BUSY:
            logging.getLogger(name).setLevel("DEBUG" if level == "DEBUG" else "WARNING")
    if logfile:
        try:
            handler = logging.handlers.WatchedFileHandler(logfile)
        except OSError as error:
            sys.exit(f"--logfile: {logfile} can't be written: {error.strerror}.")
        handler.setFormatter(next((one.formatter for one in logger.handlers if one.formatter), None))
        logger.handlers = [handler]


def _said_level(words: Sequence[str]) -> str | None:
    for word, following in itertools.zip_longest(words, words[1:], fillvalue=""):
        if word in ("-l", "--loglevel"):
            return following.upper()
        if found := re.fullmatch(r"(?:--loglevel=|-l=?)([A-Za-z]+)", word):
            return found[1].upper()
    return None


def _without_request(
    _logger: logging.Logger, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Of a request that Django tells of, its method: its text has the query too. Of its path no token."""
    request = event.pop("request", None)
    if request is not None:
        event["method"] = getattr(request, "method", None)
        event["event"] = _SECRET_PATH.sub(r"\1[redacted]", str(event["event"]))
    return event
