"""Names and lists of words as the YAML file holds them. It must never know what they name."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

NAME = r"^[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?$"


def listed(value: Any) -> Any:
    """A single word is a list of one."""
    return [value] if isinstance(value, str) else value


_WORDS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
Words = Annotated[list[str], BeforeValidator(listed), Field(min_length=1), WithJsonSchema(_WORDS)]
"""One word, or a list of them."""
