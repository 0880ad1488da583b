"""Read job objects from crontabs, JSON, YAML, and files of other programs; write some. Pure."""

from jobs.imports.arazzo import arazzo_document
from jobs.imports.crontab import read_crontab
from jobs.imports.formats import FORMATS, Options
from jobs.imports.items import Item, ReadError, objects_in
from jobs.imports.yaml import read_foreign_yaml, read_yaml, yaml_text

__all__ = [
    "FORMATS", "Item", "Options", "ReadError", "arazzo_document", "objects_in", "read_crontab", "read_foreign_yaml",
    "read_yaml", "yaml_text",
]  # fmt: skip
