"""What the web room needs of the others, as plain callables. It must never reach for another room by itself."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from config.places import Place
from config.settings import Settings
from config.tables import Tables
from estimators.hardware import UNKNOWN_HARDWARE, Hardware
from proxy.call import Caller
from proxy.clock import Clock
from proxy.erasing import Eraser
from proxy.keys.desk import Desk
from proxy.ledger.asset_store import AssetStore

Scope = MutableMapping[str, Any]


class Deployed(NamedTuple):
    """Where an alias would be served first, the catalogue name to weigh it by, and what is known of its machines."""

    weigh_as: str
    place: Place
    hardware: Hardware = UNKNOWN_HARDWARE
    operating_prior: str | None = None


class Machines(NamedTuple):
    """Where a call would be served, on what as far as that is stated, and how busy that is."""

    place: Place
    hardware: Hardware
    operating_prior: str


async def _nothing() -> None:
    """For a house that issues no keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRooms:
    """Everything that a request to our own API may touch.

    render_metrics: Accept -> body and content type; blocks, so it is run in a thread.
    find_call: call id -> the ledger's record, None when unknown; blocks, run in a thread; may raise LedgerUnavailable.
    authorise: raises Unauthorized. unready: reasons not to send calls here now. noted: what is amiss though they may be sent.
    desk: where keys are issued, None where they are not; it blocks, so it is run in a thread. keys_changed: makes a change known here.
    assets: what was said of assets, None where that is not kept; it blocks, so it is run in a thread.
    eraser: what takes a person out of ledger and memory, None where nothing does.
    keys_are_issued: whether any key was issued, so that figures are not anybody's.
    deployed: None when the alias has no configured deployment. usual_output_tokens: what answers of an alias usually have.
    """

    render_metrics: Callable[[str], tuple[bytes, str]]
    find_call: Callable[[str], dict[str, Any] | None]
    authorise: Callable[[Scope], Caller]
    unready: Callable[[], tuple[str, ...]]
    deployed: Callable[[str], Deployed | None]
    usual_output_tokens: Callable[[str], int]
    tables: Tables
    settings: Settings
    version: str = ""
    desk: Desk | None = None
    assets: AssetStore | None = None
    eraser: Eraser | None = None
    noted: Callable[[], tuple[str, ...]] = tuple
    keys_are_issued: Callable[[], bool] = lambda: False
    keys_changed: Callable[[], Awaitable[None]] = _nothing
    now_ms: Callable[[], int] = Clock().now_ms
