"""Read and write OpenAPI's Arazzo documents: workflows of calls to operations of OpenAPI documents. Pure."""

from jobs.imports.arazzo.document import parse_arazzo, read_arazzo
from jobs.imports.arazzo.writing import arazzo_document

__all__ = ["arazzo_document", "parse_arazzo", "read_arazzo"]
