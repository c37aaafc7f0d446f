"""The report over HTTP: what calls came to, for those who may read figures. It must never show a viewer another brand than its own.

It blocks for as long as the sums take, so that it runs in a thread of its own, one report at a time.
"""

from typing import Final

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from config.tag_rules import is_tag_name
from proxy.call import Caller
from proxy.errors import BadRequest, Forbidden, LedgerDown, StartError
from proxy.keys.issue import BRAND
from proxy.web.access import check_reader, figures_are_open
from proxy.web.reply import json_reply
from proxy.web.rooms import WebRooms

PATH: Final = "/v1/footprint/report"
TAG: Final = "tag."
"""Before the name of a tag in the query: `tag.campaign=noel-26`."""

SIMPLE: Final = ("since", "until", "compare_to", "time_zone", "by", "team", "basis", "set", "equivalences", "lang")
MOST_VALUES: Final = 50
Tags = tuple[tuple[str, tuple[str, ...]], ...]


class ReportWeb:
    """The route. trusted: it listens on `admin.listen`, where whoever can reach it may read all figures."""

    def __init__(self, rooms: WebRooms, *, trusted: bool) -> None:
        self._rooms = rooms
        self._trusted = trusted
        self._free = figures_are_open(rooms.settings)
        self._one_at_a_time: CapacityLimiter | None = None

    def routes(self) -> list[Route]:
        """Where it stands."""
        return [Route(PATH, self.read)]

    async def read(self, request: Request) -> Response:
        """The report as JSON."""
        caller = self._reader(request)
        query = request.query_params
        tags = tags_of(query, caller)
        if self._one_at_a_time is None:
            self._one_at_a_time = CapacityLimiter(1)
        try:
            found = await to_thread.run_sync(self._composed, query, tags, limiter=self._one_at_a_time)
        except StartError as error:
            raise LedgerDown("the ledger cannot be read now; ask again later.") from error
        return json_reply(found)

    def _reader(self, request: Request) -> Caller | None:
        """Who asks; None where everybody who can reach this may read all."""
        if self._trusted or (self._free and not self._rooms.keys_are_issued()):
            return None
        caller = self._rooms.authorise(request.scope)
        check_reader(caller, request.url.path)
        return caller

    def _composed(self, query: QueryParams, tags: Tags) -> dict[str, object]:
        from proxy.reports.as_json import report_document  # slow (SQLAlchemy), and most servers are never asked
        from proxy.reports.asked import asked_for
        from proxy.reports.compose import compose

        words = {name: query[name] for name in SIMPLE if name in query}
        try:
            request = asked_for(words, tags, self._rooms.now_ms())
            report = compose(self._rooms.settings.ledger.url, request, self._rooms.settings, self._rooms.tables)
        except ValueError as error:
            raise BadRequest(f"{error}.", code="invalid_report") from error
        return {**report_document(report), "lang": words.get("lang", "en")}


def tags_of(query: QueryParams, caller: Caller | None) -> Tags:
    """The tags whose calls alone are asked for; a viewer of brands gets these alone. Raises BadRequest, Forbidden."""
    asked: dict[str, list[str]] = {}
    for name, value in query.multi_items():
        if name.startswith(TAG):
            asked.setdefault(_tag_name(name), []).append(value)
        elif name not in SIMPLE:
            raise BadRequest(
                f"{name[:64]!r} is no parameter; known: {', '.join(SIMPLE)}, tag.NAME.", code="unknown_parameter", param=name[:64]
            )
    if sum(map(len, asked.values())) > MOST_VALUES:
        raise BadRequest(f"at most {MOST_VALUES} values of tags may be asked for.", code="too_many_values")
    if caller is not None and caller.brands is not None:
        foreign = set(asked.get(BRAND, ())) - caller.brands
        if foreign:
            raise Forbidden(
                f"key {caller.id!r} does not see the brand {min(foreign)[:64]!r}; ask for one of its own.", code="foreign_brand"
            )
        asked.setdefault(BRAND, sorted(caller.brands))
    return tuple((name, tuple(values)) for name, values in asked.items())


def _tag_name(name: str) -> str:
    tag = name.removeprefix(TAG)
    if not is_tag_name(tag):
        raise BadRequest(f"{tag[:64]!r} is no name of a tag.", code="invalid_tag", param=name[:64])
    return tag
