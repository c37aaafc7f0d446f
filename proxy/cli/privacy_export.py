"""Writes what the ledger holds of somebody as one JSON document, or as a folder of CSV files. It must never hold all of it in memory."""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from proxy.errors import StartError
from proxy.ledger.changing import Hands
from proxy.ledger.columns import TABLES
from proxy.ledger.personal import ELSEWHERE, NEVER_KEPT, NOT_EXPORTED, Whom
from proxy.ledger.personal_erase import Found
from proxy.ledger.personal_rows import rows_of_person, tables_of
from proxy.reports.cell import harmless

ABOUT = "about.json"


def write_json(hands: Hands, whom: Whom, there: Found, output: Path | None) -> None:
    """One document: what it is, then each table with its rows as they stand. Raises StartError for a file that cannot be written."""
    with _opened(output) as file, hands.reader.connect() as connection, connection.begin():
        head = json.dumps(_about(whom, there), ensure_ascii=False, indent=2)
        file.write(head.removesuffix("\n}") + ',\n  "tables": {')
        for at, table in enumerate(tables_of(whom)):
            file.write(f'{"," if at else ""}\n    "{table}": [')
            for number, row in enumerate(rows_of_person(connection, whom, table)):
                file.write(f"{',' if number else ''}\n      {json.dumps(_plain(row), ensure_ascii=False)}")
            file.write("]")
        file.write("\n  }\n}\n")


def write_csv(hands: Hands, whom: Whom, there: Found, folder: Path) -> None:
    """A file for each table, and about.json. Raises StartError where the folder is there or cannot be made."""
    try:
        folder.mkdir(mode=0o700)
        (folder / ABOUT).write_text(json.dumps(_about(whom, there), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        with hands.reader.connect() as connection, connection.begin():
            for table in tables_of(whom):
                names = [name for name in TABLES[table] if name not in NOT_EXPORTED.get(table, ())]
                with (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
                    writer = csv.DictWriter(file, names)
                    writer.writeheader()
                    for row in rows_of_person(connection, whom, table):
                        writer.writerow({name: harmless(_cell(value)) for name, value in _plain(row).items()})
    except OSError as error:
        raise StartError(f"--output {folder}: {error.strerror}; name a new folder") from error


@contextmanager
def _opened(output: Path | None) -> Iterator[IO[str]]:
    if output is None:
        yield sys.stdout
        return
    try:
        with output.open("x", encoding="utf-8") as file:
            output.chmod(0o600)
            yield file
    except OSError as error:
        raise StartError(f"--output {output}: {error.strerror}; name a new file") from error


def _about(whom: Whom, there: Found) -> dict[str, Any]:
    return {
        "object": "privacy.export",
        "scope": whom.scope,
        "searched_secrets": [secret_id for secret_id, _ in whom.hashes],
        "unsearched_calls": there.unsearched,
        "calls": there.calls,
        "never_kept": list(NEVER_KEPT),
        "elsewhere": list(ELSEWHERE),
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Documents inside a row as documents, whatever the database made of them."""
    tags = row.get("tags")
    return {**row, "tags": json.loads(tags)} if isinstance(tags, str) else row


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
