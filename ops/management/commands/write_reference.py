"""`manage.py write_reference`: the API reference under docs/reference/, made from the OpenAPI document."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from api.base.document import document
from ops.reference.pages import Reference


class Command(BaseCommand):
    help = "Write the API reference, docs/reference/, from the OpenAPI document. A test says when it is stale."
    requires_system_checks = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        folder = Path(settings.BASE_DIR) / "docs" / "reference"
        folder.mkdir(exist_ok=True)
        pages = Reference(document()).pages()
        for stale in {path.name for path in folder.glob("*.md")} - pages.keys():
            (folder / stale).unlink()
        for name, text in pages.items():
            (folder / name).write_text(text, encoding="utf-8")
        self.stdout.write(f"{len(pages)} pages in {folder.relative_to(settings.BASE_DIR)}.")
