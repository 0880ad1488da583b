"""This process's shared settings, for `runs.monitoring.agreement` to compare with those of all processes."""

from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from accounts.encryption import EncryptionKeyError
from accounts.key_rotation import check_keys
from core.version import __version__
from runs.monitoring.agreement import SettingsAgreement, Shared

log = structlog.get_logger(__name__)


def own_agreement(*, process_id: str = "") -> SettingsAgreement:
    return SettingsAgreement(own_settings(), process_id=process_id)


def own_settings() -> Shared:
    policy = settings.OUTBOUND_POLICY
    ports = "*" if policy.ports is None else sorted(policy.ports)
    return Shared.of(
        keys=settings.ENCRYPTION_KEYS,
        outbound=repr((sorted(map(str, policy.networks)), sorted(policy.hosts), ports)),
        secret_key=_secret_key(),
        release=__version__,
        reads=_reads_stored_secrets,
    )


def _secret_key() -> str:
    try:
        return str(settings.SECRET_KEY)
    except ImproperlyConfigured:
        return ""


def _reads_stored_secrets() -> bool:
    try:
        stored = check_keys()
    except (EncryptionKeyError, DatabaseError):
        return False
    return not stored.count or stored.unreadable < stored.count


def ask(agreement: SettingsAgreement, cursor: Any) -> str:
    """Compare once, and log a change. Returns the names of the settings that differ, as heartbeats store them."""
    before = agreement.differs
    differs = agreement.ask(cursor)
    if differs and differs != before:
        log.error("settings_differ", differs=list(differs), see="manage.py settings_changed")
    elif before and not differs:
        log.info("settings_agree")
    return ", ".join(differs)
