"""Writes Parquet: the total and every group of a report, or pages of single calls. It must never lose a report's basis.

That is in the file's metadata (`grammage.basis`).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from proxy.errors import StartError
from proxy.ledger.columns import SCOPED_QUANTITIES, USAGE_COUNTS
from proxy.reports.document import Report
from proxy.reports.line import Line

_NO_LIBRARY: Final = "Parquet needs pyarrow; run: pip install 'grammage[parquet]'"
TOTAL: Final = "total"
_COUNTS: Final = ("calls", "attempts", "weighed_attempts", "not_generated")
_SHARES: Final = ("simulated_share", "counted_usage_share", "estimated_usage_share")


def parquet_report(report: Report) -> bytes:
    """The file: one row for the total and one for each group. Raises StartError without the library."""
    try:
        import pyarrow as pa  # an extra of 150 MB
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise StartError(_NO_LIBRARY) from error
    rows = list(_rows(report))
    figure, count, text = pa.float64(), pa.int64(), pa.string()
    fields: list[tuple[str, Any]] = [("dimension", text), ("key", text), *((name, count) for name in (*_COUNTS, *USAGE_COUNTS))]
    for name in SCOPED_QUANTITIES:
        fields += [(name, figure), (f"{name}_low", figure), (f"{name}_high", figure)]
    fields += [("unweighed_attempts", count), *((name, figure) for name in _SHARES)]
    fields.append(("gco2e_share_by_tier", pa.map_(text, figure)))
    schema = pa.schema(fields, metadata={"grammage.basis": json.dumps(asdict(report.basis), default=dict, sort_keys=True)})
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def parquet_pages(pages: Iterable[list[dict[str, Any]]], into: Path, columns: Mapping[str, str], told: Callable[[int], None]) -> None:
    """A row group for each page; columns: each with its kind of the ledger. Raises StartError without the library."""
    try:
        import pyarrow as pa  # as above
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise StartError(_NO_LIBRARY) from error
    kinds: dict[str, Any] = {"text": pa.string(), "bigint": pa.int64(), "double": pa.float64(), "boolean": pa.bool_()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
    with pq.ParquetWriter(into, schema, compression="zstd") as writer:
        for page in pages:
            writer.write_table(pa.Table.from_pylist(page, schema=schema))
            told(len(page))


def _rows(report: Report) -> Iterator[dict[str, Any]]:
    yield _row(TOTAL, report.total)
    for dimension, lines in report.groups.items():
        for line in lines:
            yield _row(dimension, line)


def _row(dimension: str, line: Line) -> dict[str, Any]:
    row: dict[str, Any] = {"dimension": dimension, "key": line.key, **{name: getattr(line, name) for name in (*_COUNTS, *_SHARES)}}
    row |= {name: line.usage.get(name) for name in USAGE_COUNTS}
    for name in SCOPED_QUANTITIES:
        spread = getattr(line, name)
        row |= {name: spread.mean, f"{name}_low": spread.p5, f"{name}_high": spread.p95} if spread else {}
    row["unweighed_attempts"] = sum(line.unweighed.values())
    row["gco2e_share_by_tier"] = list(line.gco2e_share_by_tier.items())
    return row
