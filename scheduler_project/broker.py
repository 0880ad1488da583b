"""Turns REDIS_URL, in redis-py's spelling, into the URL that Celery's transport understands."""

from urllib.parse import parse_qs, urlsplit

from django.core.exceptions import ImproperlyConfigured


def celery_broker_url(redis_url: str) -> str:
    """`redis://` and `rediss://` pass through; `unix:///path?db=0` becomes `redis+socket:///path?virtual_host=0`."""
    parts = urlsplit(redis_url)
    if parts.scheme in {"redis", "rediss"}:
        return redis_url
    if parts.scheme == "unix" and "://" in redis_url and parts.path.startswith("/"):
        query = parse_qs(parts.query)
        password = query.get("password", [""])[0]
        credentials = f":{password}@" if password else ""
        return f"redis+socket://{credentials}{parts.path}?virtual_host={query.get('db', ['0'])[0]}"
    raise ImproperlyConfigured("REDIS_URL: should start with redis://, rediss:// or unix:///.")
