"""What gunicorn reads wherever it is started in this folder; the command line may say otherwise."""

logger_class = "scheduler_project.web_log.WebLog"
