"""`grammage init`: writes a commented configuration. It must never overwrite one unasked."""

import json
from pathlib import Path
from typing import Annotated

import typer

from config.schema import json_schema
from config.starter import USUAL_NAME, starter_text
from proxy.cli.output import message

SCHEMA_FILE = "grammage.schema.json"


def init(
    path: Annotated[Path, typer.Argument(help="File to write, or the folder to write it in.")] = Path(USUAL_NAME),
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
    schema: Annotated[bool, typer.Option(help="Also write the JSON Schema beside it, for editors.")] = True,
) -> None:
    """Write a commented configuration, and its JSON Schema so that editors complete and check it."""
    target = path / USUAL_NAME if path.is_dir() else path
    beside = target.with_name(SCHEMA_FILE)
    if target.exists() and not force:
        message(f"{target} is there already; name another file, or overwrite it with --force.")
        raise typer.Exit(1)
    try:
        target.write_text(starter_text(f"./{SCHEMA_FILE}"), encoding="utf-8")
        if schema:
            beside.write_text(json.dumps(json_schema(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        message(f"{error.filename or target} cannot be written: {error.strerror}; choose a folder you may write in.")
        raise typer.Exit(1) from None
    message(f"wrote {target}" + (f" and {beside.name}" if schema else ""))
    message(f"next: grammage check-config {target}, then grammage serve --config {target}")
