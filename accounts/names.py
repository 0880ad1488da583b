"""What names of things look like. Pure."""

import re

from core.slugs import SlugRule

WORKSPACE_SLUGS, ENVIRONMENT_SLUGS = SlugRule("workspace"), SlugRule("environment")
#: A regular expression.
SECRET_NAME_PATTERN = "[A-Z][A-Z0-9_]{0,63}"  # noqa: S105 - not a secret
#: Request headers that history never shows, whatever a workspace allows: their values are credentials.
ALWAYS_REDACTED = frozenset({"authorization", "cookie", "proxy-authorization", "webhook-signature"})
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110, section 5.6.2


def is_header_name(text: str) -> bool:
    return _HEADER.fullmatch(text) is not None
