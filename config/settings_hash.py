"""The hash by which a report names the configuration that it was made under. It must never depend on a secret."""

import hashlib
import json
from collections.abc import Mapping

from pydantic import BaseModel

from config.settings import Settings


def settings_hash(settings: Settings) -> str:
    """sha256, in hex, over every setting but the secret ones: two files that mean the same have the same."""
    text = json.dumps(_plain(settings), sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    """The value without fields that are never shown."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {name: _plain(getattr(value, name)) for name, field in fields.items() if field.repr}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
