"""What a reader must know before quoting a figure, as codes. It must never be silent about what is missing."""

from collections.abc import Iterator, Mapping

from config.factor import Factor
from proxy.ledger.queries import UNASSIGNED
from proxy.ledger.report_read import Read
from proxy.reports.document import Note
from proxy.reports.line import Line
from proxy.reports.period import stamped, zone_named
from proxy.reports.request import BRAND, CAMPAIGN, ReportRequest
from proxy.reports.restated import BASES, YEARLY, restated_share


def notes_of(
    total: Line, read: Read, groups: Mapping[str, tuple[Line, ...]], request: ReportRequest, factors: Mapping[str, Factor]
) -> tuple[Note, ...]:
    """The notes, the gravest first."""
    return (
        *_of_line(total),
        *_pruned(read, request),
        *_of_period(read, request),
        *_unassigned(total, groups),
        *_restated(read, request, factors),
    )


def _of_line(total: Line) -> Iterator[Note]:
    if not total.calls:
        yield Note(code="empty")
    if total.simulated_share:
        yield Note(code="simulated", values={"share": total.simulated_share})
    missing = {reason: count for reason, count in total.unweighed.items() if reason != "pending"}
    if missing:
        yield Note(code="unweighed", values={"attempts": sum(missing.values())})
    if total.unweighed.get("pending"):
        yield Note(code="pending", values={"attempts": total.unweighed["pending"]})
    if total.not_generated:
        yield Note(code="not_generated", values={"attempts": total.not_generated})
    if total.estimated_usage_share:
        yield Note(code="estimated_usage", values={"share": total.estimated_usage_share})
    if total.counted_usage_share:
        yield Note(code="counted_usage", values={"share": total.counted_usage_share})


def _pruned(read: Read, request: ReportRequest) -> Iterator[Note]:
    """Said where the total holds calls that the finer parts cannot look at."""
    if read.pruned_before_ms is not None:
        yield Note(code="pruned", values={"until": stamped(read.pruned_before_ms, zone_named(request.time_zone))})


def _of_period(read: Read, request: ReportRequest) -> Iterator[Note]:
    if read.instead:
        yield Note(code="instead", values={"calls": sum(read.instead.values())})
    sets = {cell.opinions.factor_set for cell in read.now.cells}
    if len(sets) > 1:
        yield Note(code="several_factor_sets", values={"count": len(sets)})
    if read.is_before_gone:
        yield Note(code="previous_pruned")
    if read.before is not None and not read.before.cells and read.now.cells:
        yield Note(code="previous_empty")
    if imported := sum(read.imported.calls_counted.values()):
        yield Note(code="imported", values={"calls": imported})
    if read.observed_calls:
        yield Note(code="observed", values={"calls": read.observed_calls})
    if read.now.cells and not read.compared:
        yield Note(code="not_reconciled")


def _unassigned(total: Line, groups: Mapping[str, tuple[Line, ...]]) -> Iterator[Note]:
    for tag in (BRAND, CAMPAIGN):
        line = next((line for line in groups[f"tag:{tag}"] if line.key == UNASSIGNED), None)
        if line is not None and line.gco2e is not None and total.gco2e is not None and total.gco2e.mean > 0:
            yield Note(code="unassigned", values={"tag": tag, "share": line.gco2e.mean / total.gco2e.mean})


def _restated(read: Read, request: ReportRequest, factors: Mapping[str, Factor]) -> Iterator[Note]:
    if request.intensity != YEARLY:
        basis = BASES[request.intensity]
        factor = factors[basis.factor]
        yield Note(
            code="restated",
            values={
                "share": restated_share(read.now.cells, basis.zone),
                "gco2e_per_kwh": factor.value,
                "zone": basis.zone,
                "source": factor.source,
                "year": factor.year,
            },
        )
