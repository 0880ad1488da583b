"""How things are called. Pure."""

import re
import uuid

#: A regular expression for the name of a secret.
SECRET_NAME_FORM = "[A-Z][A-Z0-9_]{0,63}"  # noqa: S105 - a form, not a secret
#: Request headers that history never shows, whatever a workspace allows: they hold nothing but credentials.
ALWAYS_REDACTED = frozenset({"authorization", "cookie", "proxy-authorization", "webhook-signature"})
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110, section 5.6.2
_SLUG = re.compile(r"[a-z0-9-]{1,100}")


def is_slug(text: str) -> bool:
    """Whether paths can name a thing so. A slug that reads as a UUID could be taken for another thing's id."""
    return _SLUG.fullmatch(text) is not None and not is_uuid(text)


def is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def slug_of(name: str, *, otherwise: str) -> str:
    """A slug made from a name; `otherwise` where nothing of it is left."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:90] or otherwise


def is_header_name(text: str) -> bool:
    return _HEADER.fullmatch(text) is not None
