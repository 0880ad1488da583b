"""Write workflows as an Arazzo document. Pure."""

from jobs.imports.arazzo.writing.document import arazzo_document

__all__ = ["arazzo_document"]
