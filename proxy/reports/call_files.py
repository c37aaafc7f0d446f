"""Writes single calls into a file, page by page: Parquet, CSV or JSON lines. It must never hold more than a page, nor write a formula."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from proxy.ledger.call_rows import COLUMNS, Row
from proxy.reports.cell import harmless, on_unix_lines

Pages = Iterable[list[Row]]
Told = Callable[[int], None]
"""Is told how many rows were written."""


def write_parquet(pages: Pages, into: Path, told: Told) -> None:
    """A row group for each page. Raises StartError without the library."""
    from proxy.reports.pages.parquet import parquet_pages  # an extra

    parquet_pages(pages, into, COLUMNS, told)


def write_csv(pages: Pages, into: Path, told: Told) -> None:
    """A header, then a line each; text that a spreadsheet would run gets an apostrophe in front."""
    with into.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for page in pages:
            writer.writerows([harmless(on_unix_lines(row[name])) for name in COLUMNS] for row in page)
            told(len(page))


def write_jsonl(pages: Pages, into: Path, told: Told) -> None:
    """An object a line; unknown is null, tags are an object."""
    with into.open("w", encoding="utf-8") as file:
        for page in pages:
            file.writelines(
                json.dumps({**row, "tags": json.loads(row["tags"])}, ensure_ascii=False, allow_nan=False) + "\n" for row in page
            )
            told(len(page))


WRITERS: Final[Mapping[str, Callable[[Pages, Path, Told], None]]] = {
    ".parquet": write_parquet,
    ".csv": write_csv,
    ".jsonl": write_jsonl,
}
"""By the end of the file's name."""
