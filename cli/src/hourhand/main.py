"""The command line `hourhand`."""

import click

from hourhand import __version__
from hourhand.commands.applying import apply_files, plan_files
from hourhand.commands.completion import completion
from hourhand.commands.executions import executions
from hourhand.commands.files import export_jobs, import_jobs
from hourhand.commands.jobs import jobs
from hourhand.commands.listen import listen
from hourhand.commands.login import login, whoami
from hourhand.commands.logs import logs
from hourhand.commands.runs import runs
from hourhand.commands.schedules import schedules
from hourhand.commands.secrets import secrets
from hourhand.commands.stats import stats, usage
from hourhand.tree import Root


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hourhand")
def hourhand() -> None:
    """Hourhand from the command line: jobs, executions and secrets over the REST API."""


for command in (
    login,
    whoami,
    jobs,
    executions,
    runs,
    logs,
    schedules,
    secrets,
    plan_files,
    apply_files,
    import_jobs,
    export_jobs,
    stats,
    usage,
    listen,
    completion,
):
    hourhand.add_command(command)
