"""Speaks /v1/files: what is uploaded is kept for a while, so that batches and jobs can read it. It must never write to a disk."""

import json
from typing import Any

from proxy.simulate.exchange import Ask, Draft, JsonObject, Refused
from proxy.simulate.form import read_form
from proxy.simulate.shelf import Kept

LONGEST_BYTES = 32 * 1024 * 1024
_LASTS_S = 30 * 24 * 3600


def files(ask: Ask) -> Draft:
    """An upload, or the list of what is there."""
    if ask.asked.method == "GET":
        return listed(ask, "file")
    fields, uploads = read_form(ask.asked.headers.get("content-type", ""), ask.asked.body)
    given = uploads.get("file", ())
    if not given:
        raise Refused(400, "Simulated: 'file' is a required property.", param="file")
    purpose = str(fields.get("purpose") or "user_data")
    document = keep_file(ask, f"file-{ask.call_id}", given[0].content, filename=given[0].filename, purpose=purpose)
    return Draft(document=document)


def file(ask: Ask) -> Draft:
    """One file's description, or its end."""
    name = ask.asked.path.rpartition("/")[2]
    found = found_file(ask, name)
    if ask.asked.method == "DELETE":
        ask.shelf.drop(name)
        return Draft(document={"id": name, "object": "file", "deleted": True})
    return Draft(document=found.document)


def content(ask: Ask) -> Draft:
    """One file's bytes."""
    found = found_file(ask, ask.asked.path.split("/")[-2])
    return Draft(plain=found.content, content_type="application/octet-stream")


def keep_file(ask: Ask, name: str, content: bytes, *, filename: str, purpose: str) -> JsonObject:
    """Keeps a file and describes it."""
    if len(content) > LONGEST_BYTES:
        raise Refused(413, f"Simulated: files of more than {LONGEST_BYTES} bytes are not kept.", code="file_too_large")
    document: JsonObject = {
        "id": name,
        "object": "file",
        "bytes": len(content),
        "created_at": ask.created_s,
        "expires_at": ask.created_s + _LASTS_S,
        "filename": filename,
        "purpose": purpose,
        "status": "processed",
        "status_details": None,
    }
    ask.shelf.keep(name, Kept(document=document, content=content))
    return document


def found_file(ask: Ask, name: object) -> Kept:
    """The file of that id; refused as the provider refuses one that it does not have."""
    found = ask.shelf.find(name) if isinstance(name, str) else None
    if found is None or found.document.get("object") != "file":
        raise Refused(404, f"Simulated: there is no file '{str(name)[:80]}' here.", code="file_not_found", param="id")
    return found


def lines_of(content: bytes) -> list[dict[str, Any]]:
    """The JSON objects of a file that holds one a line."""
    found = []
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            try:
                document = json.loads(line)
            except (ValueError, RecursionError):
                raise Refused(400, f"Simulated: line {number} of the file is not valid JSON.", code="invalid_json_line") from None
            found.append(document if isinstance(document, dict) else {})
    return found


def listed(ask: Ask, kind: str) -> Draft:
    """The kept documents of one kind, the newest first."""
    data = ask.shelf.of_kind(kind)
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return Draft(document={"object": "list", "data": data, **ends, "has_more": False})


def json_body(ask: Ask) -> JsonObject:
    """The JSON object in the request's body."""
    try:
        document = json.loads(ask.asked.body)
    except (ValueError, RecursionError):
        raise Refused(400, "Simulated: the body of your request could not be parsed as JSON.") from None
    if not isinstance(document, dict):
        raise Refused(400, "Simulated: the body of your request must be a JSON object.")
    return document
