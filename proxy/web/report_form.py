"""In which form a report is handed over: by name, else by what the client accepts. It must never let a page of a report run a script."""

from collections.abc import Iterator
from typing import Final

from proxy.errors import BadRequest
from proxy.reports.pages.forms import FORMS, Form

JSON_FORM: Final = "json"
KNOWN: Final = (JSON_FORM, *FORMS)
SHOWN: Final = "text/html"
MEDIA_TYPES: Final = {"application/json": JSON_FORM, **{form.media_type.partition(";")[0]: name for name, form in FORMS.items()}}
LOCKED: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
DAY: Final = len("2026-11-01")


def wanted_form(name: str | None, accept: str) -> str:
    """The name of a form; JSON where nothing that is known is asked for. Raises BadRequest for an unknown name."""
    if name is not None:
        if name not in KNOWN:
            raise BadRequest(f"format {name[:40]!r} is not known; known: {', '.join(KNOWN)}.", code="unknown_format", param="format")
        return name
    best = max(_weighed(accept), default=(0.0, 0, JSON_FORM))
    return best[2] if best[0] > 0 else JSON_FORM


def _weighed(accept: str) -> Iterator[tuple[float, int, str]]:
    """Weight, place (the first wins among equals) and name of each form that is accepted by its own media type."""
    for place, part in enumerate(accept.split(",")):
        media_type, *parameters = (text.strip() for text in part.lower().split(";"))
        if media_type in MEDIA_TYPES:
            yield _weight(parameters), -place, MEDIA_TYPES[media_type]


def _weight(parameters: list[str]) -> float:
    text = next((each.removeprefix("q=") for each in parameters if each.startswith("q=")), "1")
    try:
        return float(text)
    except ValueError:
        return 0.0


def headers_of(form: Form, since: str, until: str) -> dict[str, str]:
    """Headers of the answer; a file has a name with its period (days in the report's time zone)."""
    headers = {"content-type": form.media_type, "cache-control": "no-store", "x-content-type-options": "nosniff", "vary": "accept"}
    if form.media_type.startswith(SHOWN):
        return {**headers, "content-security-policy": LOCKED}
    name = f"footprint_{since[:DAY]}_{until[:DAY]}.{form.extension}"
    return {**headers, "content-disposition": f'attachment; filename="{name}"'}
