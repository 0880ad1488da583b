"""manage.py forget_login_tries: lets everybody try to log in again at once."""

from typing import Any

from django.core.management.base import BaseCommand

from core.models import LoginTries


class Command(BaseCommand):
    help = "Forget every failed try to log in, so that nobody has to wait."

    def handle(self, *_args: Any, **_options: Any) -> None:
        LoginTries.objects.all().delete()
        self.stdout.write("Everybody may try to log in again.")
