"""`manage.py first_run`: create the first workspace, administrator and API key, print them and store them."""

import dataclasses
import json
import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from accounts.services import set_up_first_run


class Command(BaseCommand):
    help = "Create the first workspace, administrator and API key, unless a workspace exists."

    def handle(self, *_args: Any, **_options: Any) -> None:
        path = settings.DATA_DIR / "first-run.json"
        with transaction.atomic():
            credentials = set_up_first_run(admin_password=secrets.token_urlsafe(15))
            if credentials is None:
                return
            # Written before the commit: without the file, nobody could sign in to the new account.
            _write_private(path, {"url": settings.PUBLIC_URL, **dataclasses.asdict(credentials)})
        self.stdout.write(
            f"First start. Sign in at {settings.PUBLIC_URL}/admin/ as {credentials.admin_username} "
            f"with the password {credentials.admin_password}\nAPI key: {credentials.api_key}\n"
            f"Both are in {path}: delete it once you have saved them."
        )


def _write_private(path: Path, content: dict[str, str]) -> None:
    """Write JSON that only its owner can read, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(content, stream, indent=2)
        stream.write("\n")
    draft.rename(path)
