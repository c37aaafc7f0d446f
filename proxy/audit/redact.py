"""A configuration without what must not be seen. It must never show a value that the settings themselves keep out of their text."""

from typing import Any, Final

from pydantic import BaseModel

REDACTED: Final = "(redacted)"
UNCERTAIN: Final = frozenset({"params"})
"""Fields whose values may be secrets without being marked as such."""


def redacted(section: BaseModel) -> dict[str, Any]:
    """The section as plain values; what is marked as a secret is there in name only."""
    found: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        hidden = (not field.repr or name in UNCERTAIN) and value not in (None, {}, [])
        found[name] = REDACTED if hidden else _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return redacted(value)
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
