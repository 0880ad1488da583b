"""Renders what was claimed: the facts of each execution whose version has variables, and the secrets that they name.

Only the claimer comes here, on its own link, and only for versions with variables.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.conf import settings

from accounts.encryption import Cipher, EncryptionKeyError
from core import exact_json
from jobs.definition.contract import RequestDefinition
from jobs.definition.templates import BrokenTemplate, Facts, RenderingError, RequestTemplate

log = structlog.get_logger(__name__)

#: How long a changed secret may still be sent with its old value.
SECRETS_SECONDS = 3.0
_FACTS = """
    SELECT execution.id::text, execution.created_at, execution.scheduled_for, job.slug, environment.slug,
           execution.input::text
      FROM runs_execution AS execution
      JOIN jobs_job AS job ON job.id = execution.job_id
      JOIN accounts_environment AS environment ON environment.id = execution.environment_id
     WHERE execution.id = ANY(%s::uuid[])
"""
_SECRETS = """
    SELECT workspace_id::text, environment_id::text, name, encrypted
      FROM accounts_secret WHERE workspace_id = ANY(%s::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Templated:
    """A claimed execution whose version has variables."""

    execution_id: str
    workspace_id: str
    environment_id: str
    template: RequestTemplate | BrokenTemplate


@dataclass(frozen=True, slots=True)
class Rendered:
    """`request` is what this execution sends. `error` is set, and the request a template still, where none came of it.

    `secrets` holds the values that history must not show.
    """

    request: RequestDefinition
    secrets: tuple[str, ...] = field(default=(), repr=False)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Material:
    """What one execution is rendered from, as it was read: its row of facts, and its secrets by name."""

    template: RequestTemplate | BrokenTemplate
    row: tuple[Any, ...] | None = field(repr=False)
    secrets: dict[str, str] = field(repr=False)

    def render(self, request: RequestDefinition) -> Rendered:
        """Never raises: a request that can't be rendered is an attempt that fails."""
        try:
            facts = _facts(self.row, self.secrets)
            return Rendered(self.template.render(request, facts), tuple(self.secrets.values()))
        except RenderingError as error:
            return Rendered(request, tuple(self.secrets.values()), str(error))


class Renderer:
    """Reads what templates need. Keeps decrypted secrets for seconds, and no longer than the next reading."""

    def __init__(self) -> None:
        self._secrets: dict[str, dict[tuple[str | None, str], str | None]] = {}
        self._forget_at = 0.0

    def material(self, cursor: Any, templated: Sequence[Templated]) -> dict[str, Material]:
        """By execution id, what each is rendered from. In the caller's transaction; two queries at most."""
        if not templated:
            return {}
        cursor.execute(_FACTS, [[item.execution_id for item in templated]])
        rows = {row[0]: row for row in cursor.fetchall()}
        self._read_secrets(cursor, {item.workspace_id for item in templated if item.template.secrets})
        return {
            item.execution_id: Material(item.template, rows.get(item.execution_id), self._secrets_for(item))
            for item in templated
        }

    def material_of(self, cursor: Any, item: Templated, facts: tuple[Any, ...]) -> Material:
        """What a call that no execution asks for is rendered from: `facts` are in the order of an execution's."""
        self._read_secrets(cursor, {item.workspace_id} if item.template.secrets else set())
        return Material(item.template, facts, self._secrets_for(item))

    def _read_secrets(self, cursor: Any, workspace_ids: set[str]) -> None:
        if time.monotonic() >= self._forget_at:
            self._secrets.clear()
            self._forget_at = time.monotonic() + SECRETS_SECONDS
        missing = workspace_ids - self._secrets.keys()
        if not missing:
            return
        read: dict[str, dict[tuple[str | None, str], str | None]] = {workspace_id: {} for workspace_id in missing}
        cursor.execute(_SECRETS, [list(missing)])
        cipher = _cipher()
        for workspace_id, environment_id, name, encrypted in cursor.fetchall():
            try:
                read[workspace_id][environment_id, name] = cipher.decrypt(bytes(encrypted))
            except EncryptionKeyError as error:
                # Not left out: then another environment's value would be sent in its place.
                read[workspace_id][environment_id, name] = None
                log.error("secret_not_decrypted", workspace_id=workspace_id, name=name, error=str(error))
        self._secrets.update(read)

    def _secrets_for(self, item: Templated) -> dict[str, str]:
        """The values for this execution; one of its environment goes before one of none."""
        known = self._secrets.get(item.workspace_id, {})
        own = item.environment_id
        found = {name: known.get((own, name), known.get((None, name))) for name in item.template.secrets}
        return {name: value for name, value in found.items() if value is not None}


def _cipher() -> Cipher:
    try:
        return Cipher(settings.ENCRYPTION_KEYS)
    except EncryptionKeyError:
        return Cipher([])  # malformed keys decrypt nothing; each secret then says so


def _facts(row: tuple[Any, ...] | None, secrets: dict[str, str]) -> Facts:
    if row is None:
        raise RenderingError("The execution's environment is gone.")
    execution_id, created_at, scheduled_for, job, environment, text = row
    return Facts(execution_id, created_at, scheduled_for, job, environment, _input(text), secrets)


def _input(text: str | None) -> Any:
    try:
        return None if text is None else exact_json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RenderingError("The execution's input can't be read.") from error
