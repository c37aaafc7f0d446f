"""`grammage config schema`: the grammar of the configuration. It must never read one."""

import json
from typing import Annotated

import typer

from config.schema import json_schema, policies_schema

config = typer.Typer(help="The configuration's grammar, for editors.", no_args_is_help=True, add_completion=False)


@config.callback()
def _group() -> None:
    """The configuration's grammar, for editors."""


@config.command()
def schema(
    policies: Annotated[bool, typer.Option("--policies", help="Of a file of policies instead.")] = False,
) -> None:
    """Print the JSON Schema of the configuration file."""
    print(json.dumps(policies_schema() if policies else json_schema(), indent=2))
