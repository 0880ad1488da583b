"""Job objects from files that people have: crontabs with curl commands, JSON and YAML. Pure."""

from jobs.imports.crontab import read_crontab
from jobs.imports.items import Item, ReadError, objects_in
from jobs.imports.yaml import read_foreign_yaml, read_yaml, yaml_text

__all__ = ["Item", "ReadError", "objects_in", "read_crontab", "read_foreign_yaml", "read_yaml", "yaml_text"]
