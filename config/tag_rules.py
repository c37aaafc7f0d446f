"""What a tag may be called and hold, for configuration and callers alike. It must never allow what could break a line or a label."""

import re

MOST_VALUE_CHARS = 128
NAME_RULE = "a lower-case letter, then up to 31 lower-case letters, digits, `-` or `_`"
VALUE_RULE = f"1 to {MOST_VALUE_CHARS} printable characters, no control characters among them"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def is_tag_name(name: str) -> bool:
    """True when `name` may name a tag."""
    return _NAME.fullmatch(name) is not None


def is_tag_value(value: str) -> bool:
    """True when `value` may be a tag's value: no control, format or line-breaking characters."""
    return 0 < len(value) <= MOST_VALUE_CHARS and value.isprintable()
