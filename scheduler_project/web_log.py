"""Gunicorn's log lines in the common format. `gunicorn.conf.py` names this class."""

import logging.config
import os
from typing import Any

from gunicorn.glogging import Logger

from core.env import Env
from scheduler_project.logs import logging_from_env


class WebLog(Logger):
    """Log to stderr like everything else, except for logs that the operator sends to files."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        logging.config.dictConfig(logging_from_env(Env(os.environ)))
        for log, target in ((self.error_log, cfg.errorlog), (self.access_log, cfg.accesslog)):
            if target == "-":
                for handler in list(log.handlers):
                    log.removeHandler(handler)
                log.propagate = True
