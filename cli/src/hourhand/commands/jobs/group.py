"""The group of verbs."""

import click

from hourhand.tree import Noun


@click.group(cls=Noun)
def jobs() -> None:
    """List, change and run jobs."""
