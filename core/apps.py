from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "core"
    label = "scheduler_project"  # the tables' and migrations' name since the first release
    verbose_name = "Hourhand"
