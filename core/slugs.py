"""Slugs: the names of objects in paths and definitions. Pure."""

import re
import unicodedata
import uuid
from collections.abc import Set

from anyascii import anyascii

MAX_SLUG = 100
#: A slug derived from a name leaves room for a number.
_MAX_MADE = 90
_MAX_NAME = 200
_SLUG = re.compile(rf"[a-z0-9-]{{1,{MAX_SLUG}}}")
_NOBODY: frozenset[str] = frozenset()


def is_uuid(text: str) -> bool:
    """Whether a path segment is an id, in any spelling of a UUID."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def is_slug(text: str, *, reserved: Set[str] = _NOBODY) -> bool:
    """Whether `text` may be a slug. One that reads as a UUID could be another object's id."""
    return _SLUG.fullmatch(text) is not None and text not in reserved and not is_uuid(text)


def slug_base(name: str, *, otherwise: str) -> str:
    """Derive a slug from a name: its letters and digits in ASCII, or `otherwise` if none are left."""
    # NFKC joins letters and accents that come apart. Characters without a transliteration are left out.
    ascii_name = anyascii(unicodedata.normalize("NFKC", name[:_MAX_NAME]))
    return re.sub(r"[^a-z0-9]+", "-", ascii_name.lower()).strip("-")[:_MAX_MADE].rstrip("-") or otherwise


def slug_of(name: str, *, otherwise: str, taken: Set[str] = _NOBODY, reserved: Set[str] = _NOBODY) -> str:
    """Derive a slug that is free: numbered if it is in `taken`, is a `reserved` word or reads as a UUID."""
    base = slug_base(name, otherwise=otherwise)
    number, slug = 1, base
    while slug in taken or not is_slug(slug, reserved=reserved):
        number += 1
        slug = f"{base}-{number}"
    return slug
