"""The group of verbs."""

import click

from hourhand.tree import Noun


@click.group(cls=Noun)
def executions() -> None:
    """List, watch, repeat, cancel and decide on executions."""
