"""Slugs: how paths and definitions name things that people named. Pure."""

import re
import unicodedata
import uuid
from collections.abc import Set

from anyascii import anyascii

MAX_SLUG = 100
#: A slug that is made of a name leaves room for a number.
_MAX_MADE = 90
_MAX_NAME = 200
_SLUG = re.compile(rf"[a-z0-9-]{{1,{MAX_SLUG}}}")
_NOBODY: frozenset[str] = frozenset()


def is_uuid(text: str) -> bool:
    """Whether a path that says so names a thing by its id: in any of the spellings that a UUID is read in."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def is_slug(text: str, *, reserved: Set[str] = _NOBODY) -> bool:
    """Whether a thing may be called so. A slug that reads as a UUID could be another thing's id."""
    return _SLUG.fullmatch(text) is not None and text not in reserved and not is_uuid(text)


def slug_base(name: str, *, otherwise: str) -> str:
    """What the slugs of a name begin with: its letters and digits in ASCII; `otherwise` where nothing of it is left."""
    # A letter and its accent may come apart. What no table knows, such as letters for private use, is left out.
    ascii_name = anyascii(unicodedata.normalize("NFKC", name[:_MAX_NAME]))
    return re.sub(r"[^a-z0-9]+", "-", ascii_name.lower()).strip("-")[:_MAX_MADE].rstrip("-") or otherwise


def slug_of(name: str, *, otherwise: str, taken: Set[str] = _NOBODY, reserved: Set[str] = _NOBODY) -> str:
    """A slug made of a name, numbered where it is in `taken`, is a `reserved` word or would read as a UUID."""
    base = slug_base(name, otherwise=otherwise)
    number, slug = 1, base
    while slug in taken or not is_slug(slug, reserved=reserved):
        number += 1
        slug = f"{base}-{number}"
    return slug
