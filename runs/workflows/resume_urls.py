"""The URLs that resume waiting steps. They exist from the start of an execution, whether its step is reached or not."""

import uuid

from django.conf import settings

from accounts.tokens import Purpose, subject_of, token_of

PATH = "/hooks/resume/"


def resume_url(execution_id: uuid.UUID | str, position: int) -> str:
    """Return the URL of the step at a position. Raises EncryptionKeyError."""
    row_id = execution_id if isinstance(execution_id, uuid.UUID) else uuid.UUID(execution_id)
    return f"{settings.PUBLIC_URL}{PATH}{token_of(Purpose.RESUME, row_id, position)}"


def step_of(token: str) -> tuple[uuid.UUID, int] | None:
    """Return the execution and the step's position; None for a token that is none. Raises EncryptionKeyError."""
    return subject_of(Purpose.RESUME, token)
