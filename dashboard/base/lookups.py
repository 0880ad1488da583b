"""Ids in addresses and forms."""

import uuid

from django.http import Http404


def parse_id(reference: str) -> uuid.UUID:
    """Read a UUID. Raises Http404 for anything else."""
    try:
        return uuid.UUID(reference)
    except ValueError as error:
        raise Http404 from error
