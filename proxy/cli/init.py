"""`grammage init`: writes a commented configuration. It must never overwrite one unasked."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from config.schema import json_schema
from config.starter import USUAL_NAME, starter_text
from proxy.cli.output import message

SCHEMA_FILE = "grammage.schema.json"
CALLBACK = "grammage_litellm.py"


def init(
    path: Annotated[Path, typer.Argument(help="File to write, or the folder to write it in.")] = Path(USUAL_NAME),
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
    schema: Annotated[bool, typer.Option(help="Also write the JSON Schema beside it, for editors.")] = True,
    litellm: Annotated[bool, typer.Option("--litellm", help=f"Write {CALLBACK} instead: the callback for your own LiteLLM.")] = False,
) -> None:
    """Write a commented configuration, and its JSON Schema so that editors complete and check it."""
    if litellm:
        _write_callback(path / CALLBACK if path.is_dir() else path.with_name(CALLBACK), force)
        return
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


def _write_callback(target: Path, force: bool) -> None:
    """The file that LiteLLM loads; it stands alone, for it runs where grammage is not installed."""
    if target.exists() and not force:
        message(f"{target} is there already; overwrite it with --force.")
        raise typer.Exit(1)
    try:
        target.write_text((files("proxy.observe") / "data" / CALLBACK).read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        message(f"{error.filename or target} cannot be written: {error.strerror}; choose a folder you may write in.")
        raise typer.Exit(1) from None
    message(f"wrote {target}")
    message('next: set GRAMMAGE_URL and GRAMMAGE_KEY where LiteLLM runs, and `callbacks: ["grammage_litellm.footprint"]` in its config')
