"""`manage.py settings_changed`: make this host's shared settings the valid ones."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection, transaction

from workers.sharing import own_agreement


class Command(BaseCommand):
    help = (
        "Make this host's encryption keys, outbound rules, secret key and release the valid ones: beats and workers "
        "that differ claim nothing from now on. Unnecessary if you restart every process with the new settings: they "
        "take effect when the last process with the old ones has gone."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            changed = own_agreement().declare(cursor)
        if changed:
            self.stdout.write(f"Changed: {', '.join(changed)}. Beats and workers that differ wait from now on.")
        else:
            self.stdout.write("This host's settings are already the valid ones; nothing changed.")
