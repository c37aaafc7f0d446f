"""What a live source says of a grid, and how it is asked. It must never hold a figure without its kind and basis."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypeVar

import msgspec

Kind = Literal["average", "marginal"]
Basis = Literal["lifecycle", "direct"]
Flow = Literal["consumption", "production"]
State = Literal["measured", "estimated", "forecast"]
"""estimated: the source's own model stands in for a measurement that is not there yet."""

Shape = TypeVar("Shape")


class BadAnswer(ValueError):
    """The source answered, and not with readings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One figure of one grid zone. at_s: the instant it begins to hold for, seconds since 1970 UTC."""

    zone: str
    gco2e_per_kwh: float
    at_s: float
    kind: Kind
    basis: Basis
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What to ask for; `path` follows the source's base URL."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


class IntensitySource(Protocol):
    """One live source: what it publishes, how it is asked and read. Each is a file of this room.

    BASE_URL: where it answers. PAGES: what it can be asked for, with the seconds between two publications of each. flow: whether
    imports and exports are followed. NEEDS_SESSION: whether `token` is that of a session, which user and password open.
    """

    BASE_URL: str
    KIND: Kind
    BASIS: Basis
    FLOW: Flow
    PAGES: Mapping[str, float]
    NEEDS_SESSION: bool

    def page(self, name: str, zone: str, now_s: float, token: str) -> Page:
        """How to ask for one of PAGES."""

    def read(self, name: str, body: bytes, zone: str) -> tuple[Reading, ...]:
        """The readings of its answer, unchecked as to size and time. Raises BadAnswer."""


def decode(body: bytes, shape: type[Shape]) -> Shape:
    """The JSON body in its shape. Raises BadAnswer."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer("is not in the shape that is documented") from error


def instant_s(text: str) -> float:
    """An ISO 8601 instant with its offset, as seconds since 1970 UTC. Raises BadAnswer."""
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            raise BadAnswer("holds a time without its offset from UTC")
        return instant.timestamp()
    except (ValueError, OverflowError) as error:
        raise BadAnswer("holds a time that cannot be read") from error
