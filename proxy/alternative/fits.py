"""Says whether a call is one that an alternative of some kind may answer at all. It must never look at what it would answer."""

import json

from config.check_alternatives import ANSWERS
from proxy.alternative.made import Cannot, Text
from proxy.alternative.wanted import Wanted

GENERATIONS = "/v1/images/generations"


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
    asked = wanted.member("response_format") if wanted.ask.endpoint.operation == "chat" else None
    if wanted.ask.endpoint.operation == "responses":
        told = wanted.member("text")
        asked = told.get("format") if isinstance(told, dict) else None
    if not isinstance(asked, dict) or asked.get("type") not in ("json_object", "json_schema"):
        return None
    try:
        json.loads(made.text)
    except (ValueError, RecursionError):
        return Cannot("json_asked")
    return None
