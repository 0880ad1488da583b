"""Renders requests whose job version has variables: from facts about the execution, and from secrets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import structlog
from django.conf import settings

from accounts.encryption import Cipher, EncryptionKeyError
from core import exact_json
from core.cache import TtlCache
from jobs.definition.contract import RequestDefinition
from jobs.definition.facts import Facts
from jobs.definition.templates import BrokenTemplate, RenderingError, RequestTemplate
from runs.workflows.progress import StepCall
from workers.worker.claimed import ClaimedRow

log = structlog.get_logger(__name__)

#: How long requests may still be sent with the old value of a changed secret.
TTL_SECONDS = 3.0
_MAX_WORKSPACES = 10_000
_FACTS = """
    SELECT execution.id::text, execution.created_at, execution.scheduled_for, job.slug, environment.slug,
           execution.input::text, execution.state -> 'trigger'
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
#: The secrets of a workspace by environment (None: of all) and name; None for a value that can't be decrypted.
Secrets = dict[tuple[str | None, str], str | None]


@dataclass(frozen=True, slots=True)
class Rendering:
    """A template, and what it is rendered from for one execution: its row of facts, and its secrets by name.

    History must not show the values of `secrets`.
    """

    template: Template
    facts: tuple[Any, ...] | Facts | None = field(repr=False)
    secrets: dict[str, str] = field(repr=False)

    def request(self, definition: RequestDefinition) -> RequestDefinition:
        """Render the request. Raises RenderingError."""
        return self.template.render(definition, _facts(self.facts, self.secrets))


class Renderer:
    """Reads the facts and secrets that templates need. Decrypted secrets stay in memory for TTL_SECONDS."""

    def __init__(self) -> None:
        self._secrets: TtlCache[str, Secrets] = TtlCache(TTL_SECONDS, max_entries=_MAX_WORKSPACES)

    def renderings(self, cursor: Any, templated: Sequence[tuple[ClaimedRow, Template]]) -> dict[str, Rendering]:
        """Read the renderings by execution, with two queries at most."""
        cursor.execute(_FACTS, [[row.execution_id for row, _ in templated]])
        facts = {row[0]: row for row in cursor.fetchall()}
        with_secrets = {row.workspace_id for row, template in templated if template.secrets}
        secrets = self._secrets.get_many(with_secrets, partial(_load_secrets, cursor))
        return {
            row.execution_id: Rendering(template, facts.get(row.execution_id), _chosen(row, template, secrets))
            for row, template in templated
        }

    def of_steps(self, cursor: Any, templated: Sequence[tuple[ClaimedRow, Template, StepCall]]) -> dict[str, Rendering]:
        """The renderings of workflows' steps, whose facts are known, with one query at most."""
        with_secrets = {row.workspace_id for row, template, _ in templated if template.secrets}
        secrets = self._secrets.get_many(with_secrets, partial(_load_secrets, cursor))
        return {
            row.execution_id: Rendering(template, call.facts, _chosen(row, template, secrets))
            for row, template, call in templated
        }

    def of_facts(self, cursor: Any, row: ClaimedRow, template: Template, facts: tuple[Any, ...]) -> Rendering:
        """The rendering of a call without an execution; `facts` are in the order of an execution's."""
        with_secrets = {row.workspace_id} if template.secrets else set()
        secrets = self._secrets.get_many(with_secrets, partial(_load_secrets, cursor))
        return Rendering(template, facts, _chosen(row, template, secrets))


def _load_secrets(cursor: Any, workspace_ids: set[str]) -> dict[str, Secrets]:
    secrets: dict[str, Secrets] = {workspace_id: {} for workspace_id in workspace_ids}
    cursor.execute(_SECRETS, [list(workspace_ids)])
    cipher = _cipher()
    for workspace_id, environment_id, name, encrypted in cursor.fetchall():
        try:
            secrets[workspace_id][environment_id, name] = cipher.decrypt(bytes(encrypted))
        except EncryptionKeyError as error:
            # Not left out: else the value for all environments would be sent in its place.
            secrets[workspace_id][environment_id, name] = None
            log.error("secret_not_decrypted", workspace_id=workspace_id, name=name, error=str(error))
    return secrets


def _chosen(row: ClaimedRow, template: Template, secrets_by_workspace: Mapping[str, Secrets]) -> dict[str, str]:
    """The values that the template names; one of the execution's environment wins over one for all environments."""
    own, secrets = row.environment_id, secrets_by_workspace.get(row.workspace_id, {})
    values = {name: secrets.get((own, name), secrets.get((None, name))) for name in template.secrets}
    return {name: value for name, value in values.items() if value is not None}


def _cipher() -> Cipher:
    try:
        return Cipher(settings.ENCRYPTION_KEYS)
    except EncryptionKeyError:
        return Cipher([])  # malformed keys decrypt nothing, which is logged for each secret


def _facts(row: tuple[Any, ...] | Facts | None, secrets: dict[str, str]) -> Facts:
    if isinstance(row, Facts):
        return replace(row, secrets=secrets)
    if row is None:
        raise RenderingError("The execution's environment is gone.")
    execution_id, created_at, scheduled_for, job, environment, text, trigger = row
    return Facts(execution_id, created_at, scheduled_for, job, environment, _input(text), secrets, trigger or {})


def _input(text: str | None) -> Any:
    try:
        return None if text is None else exact_json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RenderingError("The execution's input can't be read.") from error
