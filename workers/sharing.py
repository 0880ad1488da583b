"""What this process's settings come to, for `runs.monitoring.agreement` to compare with the house's."""

from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from accounts.encryption import EncryptionKeyError
from accounts.key_rotation import read_all
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
        reads=_reads_what_is_kept,
    )


def _secret_key() -> str:
    try:
        return str(settings.SECRET_KEY)
    except ImproperlyConfigured:
        return ""


def _reads_what_is_kept() -> bool:
    try:
        kept = read_all()
    except (EncryptionKeyError, DatabaseError):
        return False
    return not kept.count or kept.unreadable < kept.count


def ask(agreement: SettingsAgreement, cursor: Any) -> str:
    """Ask once, and log what has changed. Returns what differs, as a heartbeat tells it."""
    before = agreement.differs
    found = agreement.ask(cursor)
    if found and found != before:
        log.error("settings_differ", differs=list(found), see="manage.py settings_changed")
    elif before and not found:
        log.info("settings_agree")
    return ", ".join(found)
