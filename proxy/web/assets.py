"""Assets: what people say of a finished one, and what making it came to. It must never show one caller the calls of another."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from anyio import to_thread
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from config.tag_rules import VALUE_RULE, is_tag_value
from estimators.quantity import Total
from proxy.call import Caller
from proxy.clock import uuid7
from proxy.errors import BadRequest, Forbidden, LedgerDown, NotFound
from proxy.keys.issue import BRAND
from proxy.ledger.asset_store import AssetCall, AssetStore
from proxy.ledger.base import LedgerUnavailable
from proxy.web.access import may_read_call
from proxy.web.body import read_body
from proxy.web.refusal import first_fault, refusal
from proxy.web.reply import figure, json_reply
from proxy.web.rooms import WebRooms

PATH = "/v1/footprint/assets/{asset}"
_ROUTE = "/v1/footprint/assets/{asset:path}"
"""A slash may stand in a tag's value."""

CAMPAIGN = "campaign"
MOST_MINUTES = 1_000_000
FIGURES = {"energy_wh": "facility_energy_wh", "operational_gco2e": "operational_gco2e", "embodied_gco2e": "embodied_gco2e"}
T = TypeVar("T")


class VerdictRequest(BaseModel):
    """What is said of an asset."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    verdict: Literal["accepted", "rejected"] = Field(description="The last word on the asset counts.")
    brand: str | None = Field(default=None, description="Whose it is, where assets of several brands share names; the key's own tag wins.")
    campaign: str | None = Field(default=None, description="For which campaign it was made; the key's own tag wins.")
    minutes_saved: float | None = Field(
        default=None, ge=-MOST_MINUTES, le=MOST_MINUTES, allow_inf_nan=False, description="Your own judgement of the work it spared."
    )


class AssetsWeb:
    """The routes."""

    def __init__(self, rooms: WebRooms, assets: AssetStore, base_path: str) -> None:
        self._rooms = rooms
        self._assets = assets
        self._base_path = base_path

    def routes(self) -> list[Route]:
        """Where they stand."""
        return [Route(_ROUTE, self.say, methods=["POST"]), Route(_ROUTE, self.read, methods=["GET"])]

    async def say(self, request: Request) -> Response:
        """A verdict, kept before the answer leaves."""
        caller = self._rooms.authorise(request.scope)
        if caller.role in ("viewer", "observer"):
            raise Forbidden(f"key {caller.id!r} has the role {caller.role}, which judges nothing; use a caller's key.")
        asset = _checked(request.path_params["asset"], "asset")
        asked = _read(await read_body(request))
        bound = dict(caller.tags)
        now_ms = self._rooms.now_ms()
        row: dict[str, Any] = {
            "verdict_id": uuid7(now_ms),
            "asset": asset,
            "brand": bound.get(BRAND, asked.brand),
            "campaign": bound.get(CAMPAIGN, asked.campaign),
            "verdict": asked.verdict,
            "decided_ms": now_ms,
            "caller_id": caller.id,
            "minutes_saved": asked.minutes_saved,
        }
        await _off_the_loop(lambda: self._assets.say(row))
        return json_reply({"object": "footprint.verdict", "asset": asset, **_shown_verdict(row)}, 201)

    async def read(self, request: Request) -> Response:
        """How often the asset was made over, what that weighs, and the last word on it."""
        caller = self._rooms.authorise(request.scope)
        asset = request.path_params["asset"]
        calls, said = await _off_the_loop(lambda: (self._assets.calls(asset), self._assets.said(asset)))
        own = [call for call in calls if may_read_call(caller, {"caller_id": call.caller_id, "tags": call.tags})]
        words = [row for row in said if _may_read(caller, row)]
        if not own and not words:
            raise NotFound(
                f"no call under your key carries the tag asset={asset[:64]!r}, and nothing was said of it; send x-grammage-tag-asset.",
                code="unknown_asset",
                param="asset",
            )
        return json_reply(
            {
                "object": "footprint.asset",
                "asset": asset,
                **_weights(own),
                "verdict": _shown_verdict(words[-1]) if words else None,
                "links": {"self": f"{self._base_path}{PATH.format(asset=quote(asset, safe=''))}"},
            }
        )


def _weights(calls: Sequence[AssetCall]) -> dict[str, Any]:
    """Sums over the calls: doubts that they share add up in full. Figures are null where nothing was weighed."""
    sums: dict[str, Total] = {}
    for call in calls:
        for opinion in call.opinions:
            for line, quantity in opinion.lines.items():
                sums.setdefault(line, Total()).add(quantity, opinion.shared)
    grams = sums.get("gco2e")
    means = {name: sums[line].mean if line in sums else None for name, line in FIGURES.items()}
    return {
        "iterations": len({call.began for call in calls}),
        "unweighed_calls": sum(call.waits for call in calls),
        "gco2e": figure(None if grams is None else grams.mean),
        "gco2e_low": figure(None if grams is None else grams.p5),
        "gco2e_high": figure(None if grams is None else grams.p95),
        **{name: figure(mean) for name, mean in means.items()},
        "water_ml": figure(sums["water_ml"].mean if "water_ml" in sums else None),
        "first_call": _timestamp(calls[0].started_ms) if calls else None,
        "last_call": _timestamp(calls[-1].started_ms) if calls else None,
    }


def _may_read(caller: Caller, row: Mapping[str, Any]) -> bool:
    """True for who said it, for keys of the brand that it is about, and for an admin."""
    if caller.role == "admin" or row["caller_id"] == caller.id:
        return True
    brand = row["brand"]
    return brand is not None and (dict(caller.tags).get(BRAND) == brand or (caller.brands is not None and brand in caller.brands))


def _shown_verdict(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("verdict_id", "verdict", "brand", "campaign", "minutes_saved")},
        "decided": _timestamp(row["decided_ms"]),
    }


def _read(body: bytes) -> VerdictRequest:
    try:
        asked = VerdictRequest.model_validate_json(body)
    except ValidationError as error:
        raise refusal(first_fault(error), 'send {"verdict": "accepted"} or "rejected"; see /openapi.json.') from error
    for name in (BRAND, CAMPAIGN):
        if (value := getattr(asked, name)) is not None:
            _checked(value, name)
    return asked


def _checked(value: str, name: str) -> str:
    if not is_tag_value(value) or value != value.strip():
        raise BadRequest(f"{name} must have {VALUE_RULE}, got {len(value)}.", code="invalid_tag", param=name)
    return value


async def _off_the_loop(work: Callable[[], T]) -> T:
    try:
        return await to_thread.run_sync(work)
    except LedgerUnavailable as error:
        raise LedgerDown("the ledger cannot be reached now, and nothing was kept; send it again later.") from error


def _timestamp(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
