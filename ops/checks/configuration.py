"""System checks of the settings."""

import resource
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's name
from django.core.exceptions import ImproperlyConfigured
from django.http.request import validate_host

from accounts.encryption import Cipher, EncryptionKeyError
from ops.checks.tag import TAG

MAKE_KEY = "python -c 'import secrets; print(secrets.token_urlsafe(50))'"


@register(TAG, Tags.security, deploy=True)
def secret_key(**_: Any) -> list[CheckMessage]:
    """Whether SECRET_KEY is set. Django's own check, security.W009, covers its length."""
    try:
        settings.SECRET_KEY  # noqa: B018 - Django refuses an empty one on access
    except ImproperlyConfigured:
        return [
            Error(
                "SECRET_KEY is not set: the web process does not start.",
                hint=f"Set it to the output of {MAKE_KEY}.",
                id="hourhand.secret_key",
            )
        ]
    return []


@register(TAG, Tags.security, deploy=True)
def encryption_keys(**_: Any) -> list[CheckMessage]:
    try:
        Cipher(settings.ENCRYPTION_KEYS)
    except EncryptionKeyError as error:
        return [
            Error(
                str(error), hint="Restore the previous key; a new one decrypts nothing.", id="hourhand.encryption_keys"
            )
        ]
    if settings.ENCRYPTION_KEYS:
        return []
    return [
        Error(
            "HOURHAND_ENCRYPTION_KEYS is not set: secrets cannot be stored, and requests are not signed.",
            hint="Set it to a new Fernet key, the same for every process, and keep a copy with your backups.",
            id="hourhand.encryption_keys",
        )
    ]


@register(TAG, Tags.security, deploy=True)
def public_url(**_: Any) -> list[CheckMessage]:
    url = settings.PUBLIC_URL
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        return [
            Error(
                f"HOURHAND_PUBLIC_URL is {url}, which is not the URL of a host.",
                hint="Write it as https://hourhand.example.com, without a path.",
                id="hourhand.public_url",
            )
        ]
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        return [
            Warning(
                f"HOURHAND_PUBLIC_URL is {url}, without TLS: passwords, sessions and API keys can be read in transit.",
                hint="Put a proxy with TLS in front, and set HOURHAND_PUBLIC_URL to its https:// address.",
                id="hourhand.public_url",
            )
        ]
    return []


@register(TAG, Tags.security, deploy=True)
def allowed_hosts(**_: Any) -> list[CheckMessage]:
    hosts = settings.ALLOWED_HOSTS
    own = urlsplit(settings.PUBLIC_URL).hostname or ""
    if "*" in hosts:
        return [
            Warning(
                "HOURHAND_ALLOWED_HOSTS accepts any Host header: an attacker can make links lead elsewhere.",
                hint="Name the hosts that people use.",
                id="hourhand.allowed_hosts",
            )
        ]
    if own and not validate_host(f"[{own}]" if ":" in own else own, hosts):
        return [
            Error(
                f"{own}, the host of HOURHAND_PUBLIC_URL, is not in HOURHAND_ALLOWED_HOSTS: the dashboard answers 400.",
                hint=f"Add {own} to HOURHAND_ALLOWED_HOSTS.",
                id="hourhand.allowed_hosts",
            )
        ]
    return []


@register(TAG, Tags.security, deploy=True)
def proxies(**_: Any) -> list[CheckMessage]:
    if not settings.HTTPS or settings.TRUSTED_PROXIES:
        return []
    return [
        Warning(
            "HOURHAND_PUBLIC_URL is https, so a proxy is in front, but HOURHAND_TRUSTED_PROXIES is 0: all callers "
            "share the proxy's address, and one who guesses passwords slows down every login.",
            hint="Set HOURHAND_TRUSTED_PROXIES to the number of your proxies that add to X-Forwarded-For.",
            id="hourhand.proxies",
        )
    ]


@register(TAG, deploy=True)
def open_files(**_: Any) -> list[CheckMessage]:
    from workers.worker.process import files_needed  # not at start: a web process needs no delivery engine

    needed = files_needed(settings.MAX_IN_FLIGHT)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return []
    return [
        Warning(
            f"A process may open {hard:,} files; a worker with {settings.MAX_IN_FLIGHT:,} calls in flight needs up to "
            f"{needed:,}.",
            hint="Raise the hard limit (ulimit -Hn, LimitNOFILE=) where workers run, or lower HOURHAND_MAX_IN_FLIGHT.",
            id="hourhand.open_files",
        )
    ]


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "127.0.0.1", "::1"} or host.endswith(".localhost")
