"""`manage.py settings_changed`: this host's settings are the house's from now on."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection, transaction

from workers.sharing import own_agreement


class Command(BaseCommand):
    help = (
        "Say that the encryption keys, outbound rules, secret key and release of this host are the right ones: beats "
        "and workers with others take no work from now on. Not needed where all are replaced: the last one that goes "
        "makes way for the new settings by itself."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            before = own_agreement().declare(cursor)
        if before:
            self.stdout.write(f"Changed: {', '.join(before)}. Beats and workers that differ wait from now on.")
        else:
            self.stdout.write("This host has the house's settings already; nothing was changed.")
