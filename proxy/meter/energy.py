"""Reads the energy that some providers return with an answer, and what it contains. It must never trust a figure that cannot be.

NeuralWatt: `energy` in the body, an SSE comment `: energy {...}` in a stream; GPU counters (NVML) of the server, shared out by tokens in
flight. GreenPT: `impact` in the body and in the last chunk; running time by an assumed power, with a CPU multiplier and PUE.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from estimators.physics_lines import J_PER_WH
from estimators.usage import MeterBoundary, Metered

ENERGY_MARK, IMPACT_MARK = b"energy", b'"impact"'
"""One of them stands in the end of every stream that states a figure."""

MOST_J = 3.6e8
"""100 kWh for one call: no answer takes what a rack of servers takes in an hour."""

INVALID = "meter-invalid"
CAPPED = "meter-capped"

UNITS_J: Mapping[str, float] = {"mJ": 1e-3, "Wms": 1e-3, "J": 1.0, "Ws": 1.0, "mWh": 3.6, "Wh": 3600.0, "kWh": 3.6e6}
"""Joules per unit; GreenPT's Wms is a watt for a millisecond."""

_DATA = re.compile(rb"^data:[ ]?(\{.*?)\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How one provider tells it: `member` of the answer (or SSE comment of that name), paths to the figures below it, their units.

    figures: (path, unit) in order of preference; unit_at: path of the unit where the answer states it. share_at: path of the share of
    a common meter, 1 where the call had it to itself; without one the figure counts as shared. capped_at: path of the provider's word
    that it left a part out. caveat: what the figure is not.
    """

    source: str
    member: str
    boundary: MeterBoundary
    figures: tuple[tuple[tuple[str, ...], str], ...]
    unit_at: tuple[str, ...] = ()
    share_at: tuple[str, ...] = ()
    capped_at: tuple[str, ...] = ()
    caveat: str | None = None


SHAPES: tuple[Shape, ...] = (
    Shape(
        source="neuralwatt",
        member="energy",
        boundary="gpu",
        figures=((("energy_joules",), "J"), (("energy_kwh",), "kWh")),
        share_at=("attribution_ratio",),
        capped_at=("ratio_was_capped",),
    ),
    Shape(
        source="greenpt",
        member="impact",
        boundary="facility",
        figures=((("energy", "total"), "Wms"),),
        unit_at=("energy", "unit"),
        caveat="energy-from-running-time",
    ),
)
_BY_MEMBER = {shape.member: shape for shape in SHAPES}
_COMMENT = re.compile(rb"^:[ ]?(" + b"|".join(shape.member.encode() for shape in SHAPES) + rb")[ ]+(\{.*?)\r?$", re.MULTILINE)


class Reading(NamedTuple):
    """A provider's figure for this call, None when it cannot be one; `warnings` go with the estimate."""

    metered: Metered | None
    warnings: tuple[str, ...] = ()


class _Event(msgspec.Struct):
    energy: msgspec.Raw = msgspec.Raw(b"")
    impact: msgspec.Raw = msgspec.Raw(b"")


_EVENT = msgspec.json.Decoder(_Event)


def read_member(member: str, raw: bytes) -> Reading | None:
    """The figure in the JSON value `raw` of an answer's `member`; None when it holds none of a known shape."""
    shape = _BY_MEMBER[member]
    found = _object(raw)
    return None if found is None else _reading(shape, found)


def read_events(block: bytes) -> Reading | None:
    """The last figure in a block of whole server-sent events, as a comment or in an event's data; None when there is none."""
    reading = None
    for match in _COMMENT.finditer(block):
        reading = read_member(match.group(1).decode(), match.group(2)) or reading
    for payload in _DATA.findall(block):
        if ENERGY_MARK in payload or IMPACT_MARK in payload:
            reading = _of_event(payload) or reading
    return reading


def _of_event(payload: bytes) -> Reading | None:
    try:
        event = _EVENT.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    for member in _BY_MEMBER:
        raw = bytes(getattr(event, member))
        if raw and (reading := read_member(member, raw)) is not None:
            return reading
    return None


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _reading(shape: Shape, found: dict[str, Any]) -> Reading | None:
    """The figure; a member of the same name that has none of the shape's fields is somebody else's and says nothing."""
    for path, unit in shape.figures:
        value = _at(found, path)
        if value is None:
            continue
        unit_j = UNITS_J.get(str(_at(found, shape.unit_at) or unit))
        joules = value * unit_j if unit_j and isinstance(value, int | float) and not isinstance(value, bool) else 0.0
        if not 0 < joules <= MOST_J:
            return Reading(None, (INVALID,))
        ratio = _at(found, shape.share_at)
        alone = isinstance(ratio, int | float) and ratio >= 1
        metered = Metered(energy_wh=joules / J_PER_WH, boundary=shape.boundary, source=shape.source, shared=not alone)
        return Reading(metered, _caveats(shape, found))
    return None


def _caveats(shape: Shape, found: dict[str, Any]) -> tuple[str, ...]:
    capped = (CAPPED,) if _at(found, shape.capped_at) is True else ()
    return (*capped, shape.caveat) if shape.caveat else capped


def _at(found: dict[str, Any], path: tuple[str, ...]) -> Any:
    """The value at the end of `path`, None where it leads nowhere or is empty."""
    value: Any = found if path else None
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
