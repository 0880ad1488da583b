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
from workers.worker.claimed import ClaimedRow

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


Template = RequestTemplate | BrokenTemplate


@dataclass(frozen=True, slots=True)
class Rendering:
    """A template with what one execution is rendered from, as it was read: its row of facts, and its secrets by name.

    History must not show the values of `secrets`.
    """

    template: Template
    facts: tuple[Any, ...] | None = field(repr=False)
    secrets: dict[str, str] = field(repr=False)

    def request(self, definition: RequestDefinition) -> RequestDefinition:
        """What the execution sends. Raises RenderingError."""
        return self.template.render(definition, _facts(self.facts, self.secrets))


class Renderer:
    """Reads what templates need. Keeps decrypted secrets for seconds, and no longer than the next reading."""

    def __init__(self) -> None:
        self._secrets: dict[str, dict[tuple[str | None, str], str | None]] = {}
        self._forget_at = 0.0

    def renderings(self, cursor: Any, templated: Sequence[tuple[ClaimedRow, Template]]) -> dict[str, Rendering]:
        """By execution, what each is rendered from. In the caller's transaction; two queries at most."""
        cursor.execute(_FACTS, [[row.execution_id for row, _ in templated]])
        facts = {row[0]: row for row in cursor.fetchall()}
        self._read_secrets(cursor, {row.workspace_id for row, template in templated if template.secrets})
        return {
            row.execution_id: Rendering(template, facts.get(row.execution_id), self._secrets_for(row, template))
            for row, template in templated
        }

    def of_facts(self, cursor: Any, row: ClaimedRow, template: Template, facts: tuple[Any, ...]) -> Rendering:
        """What a call without an execution is rendered from: `facts` are in the order of an execution's."""
        self._read_secrets(cursor, {row.workspace_id} if template.secrets else set())
        return Rendering(template, facts, self._secrets_for(row, template))

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

    def _secrets_for(self, row: ClaimedRow, template: Template) -> dict[str, str]:
        """The values for this execution; one of its environment goes before one of none."""
        own, secrets = row.environment_id, self._secrets.get(row.workspace_id, {})
        values = {name: secrets.get((own, name), secrets.get((None, name))) for name in template.secrets}
        return {name: value for name, value in values.items() if value is not None}


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
