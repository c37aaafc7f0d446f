"""Our own API behind the corridor: metrics, health, footprints, forecasts. It must never stand in the way of a /v1 call."""

import re
from typing import Any

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.errors import GrammageError, LedgerDown, NotFound
from proxy.ledger.base import LedgerUnavailable
from proxy.web.access import admin_is_local, check_reader, figures_are_open, may_read_call
from proxy.web.assets import AssetsWeb
from proxy.web.body import read_body
from proxy.web.estimate import forecast
from proxy.web.estimate_request import read_request
from proxy.web.impact import read_impact_request, weigh_rows
from proxy.web.keys import KeysWeb
from proxy.web.openapi import describe
from proxy.web.privacy import PrivacyWeb
from proxy.web.record import footprint_record
from proxy.web.reply import json_reply, on_http_error, on_our_error
from proxy.web.report import ReportWeb
from proxy.web.rooms import Deployed, WebRooms

__all__ = ["Deployed", "WebRooms", "create_web"]

CALL_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def create_web(rooms: WebRooms, *, trusted: bool = False) -> Starlette:
    """The application. trusted: it listens on `admin.listen`, where whoever can reach it may read all figures."""
    web = _Web(rooms, trusted)
    keys = KeysWeb(rooms, rooms.desk, trusted and admin_is_local(rooms.settings)).routes() if rooms.desk is not None else []
    assets = AssetsWeb(rooms, rooms.assets, web.base_path).routes() if rooms.assets is not None else []
    local = trusted and admin_is_local(rooms.settings)
    privacy = PrivacyWeb(rooms, rooms.eraser, local).routes() if rooms.eraser is not None else []
    return Starlette(
        routes=[
            Route("/metrics", web.metrics),
            Route("/livez", web.livez),
            Route("/readyz", web.readyz),
            Route("/openapi.json", web.openapi),
            Route("/v1/footprint/estimate", web.estimate, methods=["POST"]),
            *ReportWeb(rooms, trusted=trusted).routes(),
            Route("/v1/footprint/{call_id}", web.footprint),
            Route("/v1/impact", web.impact, methods=["POST"]),
            *keys,
            *assets,
            *privacy,
        ],
        exception_handlers={GrammageError: on_our_error, HTTPException: on_http_error, Exception: on_our_error},
    )


class _Web:
    def __init__(self, rooms: WebRooms, trusted: bool) -> None:
        self._rooms = rooms
        self._trusted = trusted
        self._free = figures_are_open(rooms.settings)
        self._purposes = {name: campaign.purpose for name, campaign in rooms.settings.campaigns.items() if campaign.purpose}
        self.base_path = rooms.settings.server.base_path.rstrip("/")

    async def metrics(self, request: Request) -> Response:
        """The exposition for Prometheus."""
        self._check_reader(request, of_all=True)
        body, content_type = await to_thread.run_sync(self._rooms.render_metrics, request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type, "cache-control": "no-store"})

    async def livez(self, request: Request) -> Response:
        """Answers while the process runs."""
        return json_reply({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Answers 503 with reasons while calls should go elsewhere; notes are what is amiss all the same."""
        reasons, notes = self._rooms.unready(), self._rooms.noted()
        told = {"notes": list(notes)} if notes else {}
        if reasons:
            return json_reply({"status": "unready", "reasons": list(reasons), **told}, 503)
        return json_reply({"status": "ready", **told})

    async def openapi(self, request: Request) -> Response:
        """This API's description."""
        otlp = None if self._trusted else self._rooms.settings.observe.otlp  # `admin.listen` takes no spans
        return json_reply(describe(self.base_path, self._rooms.version, otlp))

    async def estimate(self, request: Request) -> Response:
        """What a call would weigh."""
        self._rooms.authorise(request.scope)
        asked = read_request(await read_body(request))
        return json_reply(await to_thread.run_sync(forecast, asked, self._rooms))

    async def impact(self, request: Request) -> Response:
        """What many calls weigh, in the shape of Scope3's API."""
        self._check_reader(request)
        asked = read_impact_request(await read_body(request))
        with_footprint = request.query_params.get("footprint") == "true"
        return json_reply(await to_thread.run_sync(weigh_rows, asked, self._rooms, with_footprint))

    async def footprint(self, request: Request) -> Response:
        """What a call weighed."""
        caller = self._rooms.authorise(request.scope)
        call_id = request.path_params["call_id"]
        found = await self._find(call_id) if CALL_ID.fullmatch(call_id) else None
        if found is None or not may_read_call(caller, found):
            raise NotFound(
                "there is no recorded call of this id under your key; a call is recorded when its answer ends.",
                code="unknown_call",
                param="call_id",
            )
        return json_reply(footprint_record(found, f"{self.base_path}/v1/footprint/{call_id}", self._purposes))

    def _check_reader(self, request: Request, *, of_all: bool = False) -> None:
        if not self._trusted and not (self._free and not self._rooms.keys_are_issued()):
            check_reader(self._rooms.authorise(request.scope), request.url.path, of_all=of_all)

    async def _find(self, call_id: str) -> dict[str, Any] | None:
        try:
            return await to_thread.run_sync(self._rooms.find_call, call_id)
        except LedgerUnavailable as error:
            raise LedgerDown("the ledger cannot be read now; ask again later.") from error
