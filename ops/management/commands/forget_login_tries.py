"""`manage.py forget_login_tries`: ends login throttling for everybody."""

from typing import Any

from django.core.management.base import BaseCommand

from core.models import LoginTries


class Command(BaseCommand):
    help = "Forget all failed login attempts, so that everybody may try again at once."

    def handle(self, *_args: Any, **_options: Any) -> None:
        LoginTries.objects.all().delete()
        self.stdout.write("Everybody may try to sign in again.")
