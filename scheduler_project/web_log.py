"""Gunicorn's own lines, in the form that all others have. `gunicorn.conf.py` names it."""

import logging.config
import os
from typing import Any

from gunicorn.glogging import Logger

from core.env import Env
from scheduler_project.logs import chosen_logging


class WebLog(Logger):
    """Leaves alone what the operator sends to files of their own."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        logging.config.dictConfig(chosen_logging(Env(os.environ)))
        for log, target in ((self.error_log, cfg.errorlog), (self.access_log, cfg.accesslog)):
            if target == "-":
                for handler in list(log.handlers):
                    log.removeHandler(handler)
                log.propagate = True
