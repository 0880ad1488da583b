"""Convert REDIS_URL, in redis-py's syntax, to the URL of Celery's transport."""

from urllib.parse import parse_qs, urlsplit

from django.core.exceptions import ImproperlyConfigured


def celery_broker_url(redis_url: str) -> str:
    """`redis://` and `rediss://` pass through; `unix:///path?db=0` becomes `redis+socket:///path?virtual_host=0`."""
    try:
        parts = urlsplit(redis_url)
        port = parts.port
    except ValueError as error:  # an invalid port or an unclosed bracket
        raise ImproperlyConfigured("REDIS_URL: its host and port should look like redis:6379.") from error
    number = (parse_qs(parts.query).get("db") or [parts.path.strip("/") if parts.scheme != "unix" else ""])[0]
    if number and not (number.isascii() and number.isdigit()):
        raise ImproperlyConfigured("REDIS_URL: its database should be a number, as in redis://redis:6379/0.")
    if parts.scheme in {"redis", "rediss"} and parts.hostname and port != 0:
        return redis_url
    if parts.scheme == "unix" and "://" in redis_url and parts.path.startswith("/"):
        query = parse_qs(parts.query)
        password = query.get("password", [""])[0]
        credentials = f":{password}@" if password else ""
        return f"redis+socket://{credentials}{parts.path}?virtual_host={query.get('db', ['0'])[0]}"
    raise ImproperlyConfigured(
        "REDIS_URL: should look like redis://host:6379/0, rediss://host:6379/0 or unix:///path?db=0."
    )
