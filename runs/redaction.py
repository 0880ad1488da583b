"""What history may show of the headers that were sent. Pure."""

REDACTED = "[redacted]"
#: Request headers whose values say nothing secret. Everything else is redacted: an unknown header may hold a token.
HARMLESS_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "cache-control", "content-language", "content-type",
     "idempotency-key", "user-agent", "webhook-id", "webhook-timestamp"}
)  # fmt: skip


def redact_headers(headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Sent headers as history keeps them: names in lower case, values redacted but for the harmless ones."""
    return {
        name: value if name in HARMLESS_HEADERS or name.startswith("x-hourhand-") else REDACTED
        for name, value in ((name.lower(), value) for name, value in headers)
    }
