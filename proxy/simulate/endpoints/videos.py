"""Speaks /v1/videos: clips that are made the first time they are asked for, and a tiny file that stands for each. It must never film."""

import struct

from proxy.simulate.endpoints import sampling
from proxy.simulate.endpoints.files import json_body, listed
from proxy.simulate.exchange import Ask, Draft, JsonObject, Refused, as_object
from proxy.simulate.form import MULTIPART, read_form
from proxy.simulate.shelf import Kept

_MODEL = "sim-video"
_SECONDS = ("4", "8", "12")
_SIZES = ("720x1280", "1280x720", "1024x1792", "1792x1024")
_TIMESCALE = 1000


def videos(ask: Ask) -> Draft:
    """A clip is asked for, or those that are there are listed."""
    if ask.asked.method == "GET":
        return listed(ask, "video")
    return _begun(ask, _fields(ask))


def from_video(ask: Ask) -> Draft:
    """A clip out of another: edited or gone on with."""
    body = _fields(ask)
    before = as_object(body.get("video")).get("id")
    seconds = str(body.get("seconds") or _SECONDS[0])
    made = _begun(ask, body)
    kept = None if before is None else _found(ask, str(before))
    if kept is not None and made.document is not None and ask.asked.path.endswith("/extensions"):
        made.document["seconds"] = str(int(kept.document["seconds"]) + int(seconds))
    return made


def remix(ask: Ask) -> Draft:
    """Another clip like one that is there."""
    before = _found(ask, ask.asked.path.split("/")[-2]).document
    made = _begun(ask, {**json_body(ask), **{name: before[name] for name in ("model", "seconds", "size")}})
    assert made.document is not None  # _begun made it
    made.document["remixed_from_video_id"] = before["id"]
    return made


def video(ask: Ask) -> Draft:
    """One clip, complete from now on; or its end."""
    name = ask.asked.path.rpartition("/")[2]
    found = _found(ask, name)
    if ask.asked.method == "DELETE":
        ask.shelf.drop(name)
        return Draft(document={"id": name, "object": "video.deleted", "deleted": True})
    found.document = {**found.document, "status": "completed", "progress": 100, "completed_at": ask.created_s}
    return Draft(document=found.document)


def video_content(ask: Ask) -> Draft:
    """The bytes of a clip that has been seen complete."""
    found = _found(ask, ask.asked.path.split("/")[-2])
    if found.document["status"] != "completed":
        raise Refused(404, "Simulated: the video is not ready yet.", code="video_not_ready")
    return Draft(plain=_mp4(int(found.document["seconds"])), content_type="video/mp4")


def _fields(ask: Ask) -> JsonObject:
    kind = ask.asked.headers.get("content-type", "")
    return read_form(kind, ask.asked.body)[0] if kind.lower().startswith(MULTIPART) else json_body(ask)


def _begun(ask: Ask, body: JsonObject) -> Draft:
    model = sampling.model_of({"model": body.get("model") or _MODEL})
    seconds, size = str(body.get("seconds") or _SECONDS[0]), str(body.get("size") or _SIZES[0])
    if seconds not in _SECONDS:
        raise Refused(400, f"Simulated: seconds must be one of {', '.join(_SECONDS)}.", param="seconds")
    if size not in _SIZES:
        raise Refused(400, f"Simulated: size must be one of {', '.join(_SIZES)}.", param="size")
    if not body.get("prompt"):
        raise Refused(400, "Simulated: 'prompt' is a required property.", param="prompt")
    document: JsonObject = {
        "id": f"video_{ask.call_id}",
        "object": "video",
        "model": model,
        "status": "queued",
        "progress": 0,
        "created_at": ask.created_s,
        "completed_at": None,
        "expires_at": None,
        "seconds": seconds,
        "size": size,
        "remixed_from_video_id": None,
        "error": None,
    }
    ask.shelf.keep(document["id"], Kept(document=document))
    return Draft(document=document, model=model)


def _found(ask: Ask, name: str) -> Kept:
    found = ask.shelf.find(name)
    if found is None or found.document.get("object") != "video":
        raise Refused(404, f"Simulated: there is no video '{name[:80]}' here.", code="video_not_found")
    return found


def _mp4(seconds: int) -> bytes:
    """An MP4 file of that length without a track: what a player opens and finds empty."""
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    head = struct.pack(">5I2H", 0, 0, 0, _TIMESCALE, seconds * _TIMESCALE, 1, 0) + struct.pack(">H10x", 0x0100)
    header = _box(b"mvhd", head + matrix + bytes(24) + struct.pack(">I", 1))
    return _box(b"ftyp", b"isom" + struct.pack(">I", 512) + b"isommp41") + _box(b"moov", header) + _box(b"mdat", b"")


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content
