"""Slugs: the names of objects in paths and definitions. Pure; only `SlugRule.free` reads rows."""

import re
import unicodedata
import uuid
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from anyascii import anyascii

MAX_SLUG = 100
#: The most of a name's own characters, so that a number fits after them.
_MAX_BASE = 90
_MAX_NAME = 200
_SLUG = re.compile(rf"[a-z0-9-]{{1,{MAX_SLUG}}}")


def is_uuid(text: str) -> bool:
    """Return whether a path segment is an id, in any spelling of a UUID."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class SlugRule:
    """The slugs of one kind of thing. `fallback` replaces a name without letters and digits."""

    fallback: str
    reserved: frozenset[str] = frozenset()

    @property
    def error(self) -> str:
        """The sentence for a text that is not a slug."""
        words = " or reserved word" if self.reserved else ""
        return f"Should be 1 to {MAX_SLUG} of a-z, 0-9 and -, and not a UUID{words}."

    def accepts(self, text: str) -> bool:
        """Return whether a thing can have this slug. One that reads as a UUID could be another thing's id."""
        return _SLUG.fullmatch(text) is not None and text not in self.reserved and not is_uuid(text)

    def base(self, name: str) -> str:
        """Return what the slugs made from a name begin with: its letters and digits, in ASCII."""
        # A letter and its accent may be two characters. What has no ASCII form, such as a private-use letter, goes.
        ascii_name = anyascii(unicodedata.normalize("NFKC", name[:_MAX_NAME]))
        return re.sub(r"[^a-z0-9]+", "-", ascii_name.lower()).strip("-")[:_MAX_BASE].rstrip("-") or self.fallback

    def make(self, name: str, *, taken: Set[str]) -> str:
        """Make a slug from a name, with a number where it is taken, reserved or reads as a UUID."""
        base = self.base(name)
        number, slug = 1, base
        while slug in taken or not self.accepts(slug):
            number += 1
            slug = f"{base}-{number}"
        return slug

    def free(self, name: str, rows: Any) -> str:
        """Make a slug from a name that none of `rows`, a query set, has."""
        alike = rows.filter(slug__startswith=self.base(name))
        return self.make(name, taken=set(alike.values_list("slug", flat=True)))
