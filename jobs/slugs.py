"""The slugs of jobs. Pure."""

from collections.abc import Set

from core import slugs

#: Words that paths below /jobs/ need for themselves.
RESERVED_SLUGS = frozenset({"export", "import"})
_OTHERWISE = "job"


def is_slug(text: str) -> bool:
    """Whether a job may be called so."""
    return slugs.is_slug(text, reserved=RESERVED_SLUGS)


def slug_base(name: str) -> str:
    """What every slug that is made of this name begins with."""
    return slugs.slug_base(name, otherwise=_OTHERWISE)


def slug_of(name: str, *, taken: Set[str]) -> str:
    """A slug made from a name, numbered when it is among `taken`."""
    return slugs.slug_of(name, otherwise=_OTHERWISE, taken=taken, reserved=RESERVED_SLUGS)
