"""What a report is asked to be of. It must never hold more than an asker may see."""

from dataclasses import dataclass
from typing import Final

from config.settings import Settings
from proxy.ledger.queries import Selection
from proxy.ledger.report_read import Asked
from proxy.reports.period import Span, before, offsets, zone_named
from proxy.reports.restated import YEARLY

BRAND, CAMPAIGN, TOOL = "brand", "campaign", "tool"
DAY: Final = "day"
BY_COLUMN: Final = ("model", "provider", "zone", "operation", "policy", DAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """Which calls, and how they are told apart.

    since_ms, until_ms: None: as the ledger begins or ends. compare: the period to explain the change from, None: the one before.
    tags: calls alone whose tag of each name has one of its values. by: further tags to group by. team: the tag that names teams;
    kind: the tag that names kinds of finished things. intensity: `yearly` or a declared basis. now_ms: when it is asked for.
    """

    now_ms: int
    since_ms: int | None = None
    until_ms: int | None = None
    compare: Span | None = None
    time_zone: str = "UTC"
    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    by: tuple[str, ...] = ()
    team: str = TOOL
    kind: str = TOOL
    estimate_set: str | None = None
    method: str | None = None
    intensity: str = YEARLY
    equivalences: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to read for a request, and where it stands in what was read."""

    span: Span
    previous: Span | None
    asked: Asked


def plan_of(request: ReportRequest, settings: Settings, extent: tuple[int, int] | None) -> Plan:
    """What to read. extent: when the ledger's first and last call began. Raises ValueError for an unknown time zone."""
    zone = zone_named(request.time_zone)
    first, last = (request.now_ms, request.now_ms) if extent is None else extent
    since = first if request.since_ms is None else request.since_ms
    span = Span(since_ms=since, until_ms=max(last + 1 if request.until_ms is None else request.until_ms, since))
    previous = request.compare or (before(span, zone) if request.since_ms is not None else None)
    names = tuple(dict.fromkeys((BRAND, CAMPAIGN, TOOL, request.team, request.kind, *request.by, *sorted(settings.tags))))
    ahead = offsets(span, zone)
    cut = ahead if any(offset_ms for _, offset_ms in ahead) else ()
    groups = {
        **{name: _selection(request, span, by=name, offsets=cut if name == DAY else ()) for name in BY_COLUMN},
        **{f"tag:{name}": _selection(request, span, by="tag", tag_name=name) for name in names},
    }
    asked = Asked(
        selection=_selection(request, span),
        previous=None if previous is None else _selection(request, previous),
        cell_tags=(BRAND, CAMPAIGN),
        detail_tags=tuple(dict.fromkeys((request.team, request.kind))),
        groups=groups,
        own=(request.since_ms, request.until_ms),
    )
    return Plan(span=span, previous=previous, asked=asked)


def _selection(
    request: ReportRequest, span: Span, *, by: str = "model", tag_name: str | None = None, offsets: tuple[tuple[int, int], ...] = ()
) -> Selection:
    return Selection(
        by=by,  # type: ignore[arg-type]  # BY_COLUMN and `tag` are dimensions
        tag_name=tag_name,
        since_ms=span.since_ms,
        until_ms=span.until_ms,
        method=request.method,
        tags=request.tags,
        offsets=offsets,
        estimate_set=request.estimate_set,
    )
