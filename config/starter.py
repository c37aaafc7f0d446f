"""The commented configuration that `grammage init` writes. It must never need a variable that is not set."""

from importlib.resources import files

EXAMPLE = "starter.yaml"
USUAL_NAME = "grammage.yaml"
SCHEMA_LINE = "# yaml-language-server: $schema={}\n"


def starter_text(schema: str) -> str:
    """The starter configuration as text; editors find the JSON Schema at `schema`, a path beside the file or a URL."""
    body = files("config").joinpath("examples", EXAMPLE).read_text(encoding="utf-8")
    return SCHEMA_LINE.format(schema) + body
