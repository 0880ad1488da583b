from django.apps import AppConfig


class ProjectConfig(AppConfig):
    name = "scheduler_project"
    verbose_name = "Hourhand"
