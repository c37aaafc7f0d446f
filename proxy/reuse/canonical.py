"""Reads a JSON request and writes it in the one form that all requests of the same meaning share. It must never equate what differs.

Order of members, white space, spelling of strings and of numbers do not matter: 0, 0.0 and -0e5 are one number. A body that is no JSON
object, names a member twice or holds what is no JSON number has no such form: what it means is the provider's to say.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any


class NoForm(ValueError):
    """The body has no canonical form."""


def read_object(body: bytes) -> dict[str, Any]:
    """The members of the JSON object in `body`, numbers exact, as Decimal. Raises NoForm."""
    try:
        found = json.loads(
            body.decode(), parse_float=Decimal, parse_int=Decimal, parse_constant=_no_number, object_pairs_hook=_without_repeats
        )
    except (ValueError, InvalidOperation, RecursionError) as error:
        raise NoForm(type(error).__name__) from error
    if not isinstance(found, dict):
        raise NoForm("no object")
    return found


def canonical(value: Any) -> str:
    """The form of a value that `read_object` read. Raises NoForm where it is nested too deeply."""
    parts: list[str] = []
    try:
        _write(value, parts)
    except RecursionError as error:
        raise NoForm("too deep") from error
    return "".join(parts)


def _write(value: Any, parts: list[str]) -> None:
    if isinstance(value, dict):
        parts.append("{")
        for name in sorted(value):
            parts.append(json.dumps(name) + ":")
            _write(value[name], parts)
            parts.append(",")
        parts.append("}")
    elif isinstance(value, list):
        parts.append("[")
        for each in value:
            _write(each, parts)
            parts.append(",")
        parts.append("]")
    else:
        parts.append(_number(value) if isinstance(value, Decimal) else json.dumps(value))


def _number(number: Decimal) -> str:
    """Sign, digits without trailing zeros, exponent: the same for every spelling of a number, however long."""
    sign, digits, exponent = number.as_tuple()
    significant = "".join(map(str, digits)).lstrip("0")
    kept = significant.rstrip("0")
    if not kept:
        return "0"
    if not isinstance(exponent, int):
        raise NoForm("no number")
    return f"{'-' if sign else ''}{kept}e{exponent + len(significant) - len(kept)}"


def _no_number(word: str) -> Any:
    raise NoForm(word)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NoForm("a member is named twice")
    return found
