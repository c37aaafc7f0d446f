"""Says whether a call is one that an alternative of some kind may answer at all. It must never look at what it would answer."""

import json
from collections.abc import Mapping

from config.check_alternatives import ANSWERS
from proxy.alternative.made import Cannot, Text
from proxy.alternative.wanted import Wanted

GENERATIONS = "/v1/images/generations"
_FORMS: Mapping[str, tuple[str, str, str]] = {
    "chat": ("response_format", "", ""),
    "responses": ("text", "format", ""),
    "messages": ("output_config", "format", "output_format"),
}
"""Where a call says what form its answer is to have: a member, what in it, and an older member."""


def unfit(kind: str, wanted: Wanted) -> Cannot | None:
    """Why a call is none for this kind of alternative: what it is, how many answers it wants, or that they are to come later."""
    endpoint = wanted.ask.endpoint
    if endpoint.operation not in ANSWERS.get(kind, frozenset()) or (endpoint.operation == "images" and endpoint.path != GENERATIONS):
        return Cannot("other_operation")
    if (wanted.ask.whole("n") or 1) > 1:
        return Cannot("several_asked")
    if endpoint.operation == "responses" and wanted.member("background") is True:
        return Cannot("background_asked")
    return None


def misshapen(wanted: Wanted, made: Text) -> Cannot | None:
    """Why a text is not what the call asks for: JSON is, and it is none."""
    asked = _form_asked(wanted)
    if not isinstance(asked, dict) or asked.get("type") not in ("json_object", "json_schema"):
        return None
    try:
        json.loads(made.text)
    except (ValueError, RecursionError):
        return Cannot("json_asked")
    return None


def _form_asked(wanted: Wanted) -> object:
    """What the call says of its answer's form, by its dialect; None where it says nothing."""
    name, inner, older = _FORMS.get(wanted.ask.endpoint.operation, ("", "", ""))
    told = wanted.member(name) if name else None
    asked = told.get(inner) if inner and isinstance(told, dict) else told
    return wanted.member(older) if asked is None and older else asked
