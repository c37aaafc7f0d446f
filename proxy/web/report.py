"""The report over HTTP: what calls came to, for those who may read figures. It must never show a viewer another brand than its own.

It blocks for as long as the sums and the rendering take, so that it runs in threads of its own, few at a time; who comes when all are
busy and some wait is told so at once.
"""

from typing import TYPE_CHECKING, Final

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from config.tag_rules import is_tag_name
from proxy.call import Caller
from proxy.errors import BadRequest, CallsGone, CallsPruned, Forbidden, FormatUnavailable, LedgerDown, ReportsBusy, StartError
from proxy.keys.issue import BRAND
from proxy.reports.pages.forms import FORMS, Form
from proxy.web.access import check_reader, figures_are_open
from proxy.web.reply import json_reply
from proxy.web.report_form import JSON_FORM, headers_of, wanted_form
from proxy.web.rooms import WebRooms

if TYPE_CHECKING:
    from proxy.reports.document import Report

PATH: Final = "/v1/footprint/report"
TAG: Final = "tag."
"""Before the name of a tag in the query: `tag.campaign=noel-26`."""

SIMPLE: Final = ("since", "until", "compare_to", "time_zone", "by", "team", "basis", "set", "equivalences", "lang", "format")
MOST_VALUES: Final = 50
AT_ONCE: Final = 2
WAITING: Final = 4
"""Reports that are made at a time, and that may wait for it."""

Tags = tuple[tuple[str, tuple[str, ...]], ...]


class ReportWeb:
    """The route. trusted: it listens on `admin.listen`, where whoever can reach it may read all figures."""

    def __init__(self, rooms: WebRooms, *, trusted: bool) -> None:
        self._rooms = rooms
        self._trusted = trusted
        self._free = figures_are_open(rooms.settings)
        self._threads: CapacityLimiter | None = None
        self._asked = 0

    def routes(self) -> list[Route]:
        """Where it stands."""
        return [Route(PATH, self.read)]

    async def read(self, request: Request) -> Response:
        """The report as JSON, or in the form that is asked for."""
        caller = self._reader(request)
        query = request.query_params
        tags = tags_of(query, caller)
        form = wanted_form(query.get("format"), request.headers.get("accept", ""))
        if self._asked >= AT_ONCE + WAITING:
            raise ReportsBusy(f"{AT_ONCE} reports are being made and {WAITING} wait; ask again in a few seconds.")
        if self._threads is None:
            self._threads = CapacityLimiter(AT_ONCE)
        self._asked += 1
        try:
            return await to_thread.run_sync(self._made, query, tags, form, limiter=self._threads)
        finally:
            self._asked -= 1

    def _reader(self, request: Request) -> Caller | None:
        """Who asks; None where everybody who can reach this may read all."""
        if self._trusted or (self._free and not self._rooms.keys_are_issued()):
            return None
        caller = self._rooms.authorise(request.scope)
        check_reader(caller, request.url.path)
        return caller

    def _made(self, query: QueryParams, tags: Tags, form: str) -> Response:
        words = {name: query[name] for name in SIMPLE if name in query and name != "format"}
        report, language = self._composed(words, tags), words.get("lang", "en")
        if form == JSON_FORM:
            from proxy.reports.as_json import report_document

            return json_reply({**report_document(report), "lang": language})
        body = _rendered(FORMS[form], report, language)
        return Response(body, headers=headers_of(FORMS[form], report.basis.since, report.basis.until))

    def _composed(self, words: dict[str, str], tags: Tags) -> "Report":
        from proxy.reports.asked import asked_for  # slow (SQLAlchemy), and most servers are never asked
        from proxy.reports.compose import compose

        try:
            request = asked_for(words, tags, self._rooms.now_ms())
            return compose(self._rooms.settings.ledger.url, request, self._rooms.settings, self._rooms.tables)
        except ValueError as error:
            raise BadRequest(f"{error}.", code="invalid_report") from error
        except CallsGone as error:
            raise CallsPruned(f"{error}.") from error
        except StartError as error:
            raise LedgerDown("the ledger cannot be read now; ask again later.") from error


def _rendered(form: Form, report: "Report", language: str) -> bytes:
    try:
        return form.make(report, language)
    except StartError as error:
        raise FormatUnavailable(f"{error}; or ask for another format.") from error


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
