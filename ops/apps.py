from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "ops"
    verbose_name = "Operations"

    def ready(self) -> None:
        import ops.checks  # noqa: F401 - registers them; needs the apps to be ready
