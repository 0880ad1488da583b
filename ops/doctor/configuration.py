"""The settings: what a wrong one would break, or leave open."""

import resource
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http.request import validate_host

from accounts.encryption import Cipher, EncryptionKeyError
from ops.doctor.findings import Finding, ok, problem, warning
from workers.worker.process import files_wanted

_KEY_CHARACTERS, _KEY_DIFFERENT = 50, 5
_MAKE_KEY = "python -c 'import secrets; print(secrets.token_urlsafe(50))'"


def secret_key() -> Iterator[Finding]:
    name = "secret_key"
    try:
        key: str = settings.SECRET_KEY
    except ImproperlyConfigured:
        yield problem(
            name, "SECRET_KEY is not set: the web process does not start.", f"Set it to what {_MAKE_KEY} prints."
        )
        return
    if len(key) < _KEY_CHARACTERS or len(set(key)) < _KEY_DIFFERENT or key.startswith("django-insecure-"):
        yield warning(
            name,
            f"SECRET_KEY has {len(key)} characters, {len(set(key))} of them different: sessions could be forged.",
            f"Set it to what {_MAKE_KEY} prints; everybody logs in again.",
        )
    else:
        yield ok(name, f"SECRET_KEY has {len(key)} characters.")


def encryption_keys() -> Iterator[Finding]:
    name, keys = "encryption_keys", settings.ENCRYPTION_KEYS
    try:
        Cipher(keys)
    except EncryptionKeyError as error:
        yield problem(name, str(error), "Put the key right that was changed; don't make a new one in its place.")
        return
    if keys:
        yield ok(name, f"{len(keys)} {'key' if len(keys) == 1 else 'keys'}; the first encrypts.")
    else:
        yield problem(
            name,
            "HOURHAND_ENCRYPTION_KEYS is not set: no secret is kept, and no request is signed.",
            "Set it to a new Fernet key, the same for every process, and keep a copy of it beside your backups.",
        )


def debug() -> Iterator[Finding]:
    if settings.DEBUG:
        yield problem("debug", "DEBUG is on: errors show settings to everybody.", "Start it with its own settings.")
    else:
        yield ok("debug", "DEBUG is off.")


def public_url() -> Iterator[Finding]:
    name, url = "public_url", settings.PUBLIC_URL
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        yield problem(
            name,
            f"HOURHAND_PUBLIC_URL is {url}, which is no address of a host.",
            "Write it as https://hourhand.example.com, without a path.",
        )
        return
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        yield warning(
            name,
            f"{url} is not https: passwords, sessions and API keys can be read on the way.",
            "Put a proxy with TLS in front, and set HOURHAND_PUBLIC_URL to its https:// address.",
        )
    else:
        yield ok(name, f"{url}.")


def allowed_hosts() -> Iterator[Finding]:
    name, hosts = "allowed_hosts", settings.ALLOWED_HOSTS
    own = urlsplit(settings.PUBLIC_URL).hostname or ""
    if "*" in hosts:
        yield warning(
            name,
            "HOURHAND_ALLOWED_HOSTS lets any Host header through: links could be made to lead elsewhere.",
            "Name the hosts that people use.",
        )
    elif own and not validate_host(f"[{own}]" if ":" in own else own, hosts):
        yield problem(
            name,
            f"{own}, of HOURHAND_PUBLIC_URL, is none of HOURHAND_ALLOWED_HOSTS: the dashboard answers 400 there.",
            f"Add {own} to HOURHAND_ALLOWED_HOSTS.",
        )
    else:
        yield ok(name, f"{', '.join(hosts)}.")


def proxies() -> Iterator[Finding]:
    name, count = "proxies", settings.TRUSTED_PROXIES
    if settings.HTTPS and count == 0:
        yield warning(
            name,
            "An https address means a proxy in front, and HOURHAND_TRUSTED_PROXIES is 0: all callers look like one, so "
            "that one who guesses passwords makes everybody wait.",
            "Set HOURHAND_TRUSTED_PROXIES to the number of proxies of yours that add to X-Forwarded-For.",
        )
    else:
        yield ok(name, f"{count} trusted {'proxy' if count == 1 else 'proxies'}.")


def open_files() -> Iterator[Finding]:
    name, wanted = "open_files", files_wanted(settings.MAX_IN_FLIGHT)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < wanted:
        yield warning(
            name,
            f"A process may open {hard:,} files here; a worker that makes {settings.MAX_IN_FLIGHT:,} calls at once may "
            f"need {wanted:,}.",
            "Raise the hard limit (ulimit -Hn, LimitNOFILE=) where workers run, or lower HOURHAND_MAX_IN_FLIGHT.",
        )
    else:
        yield ok(name, f"A worker here may open the {wanted:,} files that it may need.")


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "127.0.0.1", "::1"} or host.endswith(".localhost")
