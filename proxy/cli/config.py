"""`grammage config schema`: the grammar of the configuration. It must never read one."""

import json

import typer

from config.schema import json_schema

config = typer.Typer(help="The configuration's grammar, for editors.", no_args_is_help=True, add_completion=False)


@config.callback()
def _group() -> None:
    """The configuration's grammar, for editors."""


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file."""
    print(json.dumps(json_schema(), indent=2))
