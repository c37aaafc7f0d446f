"""Writes an audit pack: facts, opinions, tables, method, configuration, report, and what checks them. It must never leave half a file."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TextIO

from config.tables import fingerprint
from proxy.audit.chain import FORMAT, beginning, canonical, head_of, linked
from proxy.errors import StartError
from proxy.ledger.audit_past import AuditLedger, DayPart, Record
from proxy.ledger.queries import DAY_MS, Selection
from proxy.ledger.store import Store
from proxy.ledger.weighed_past import Period
from proxy.reports.render import as_document
from proxy.reports.summary import Summary, summarise
from proxy.restate.given import lay_out
from proxy.restate.run import LIVE

FACTS: Final = "facts"
ESTIMATES: Final = "estimates"
_EPOCH: Final = date(1970, 1, 1)
_STAMPED: Final = (1980, 1, 1, 0, 0, 0)
"""Time of the files in the pack: the same content makes the same bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to pack: whole days (UTC), both included; estimate_set None: the opinions that count. tables: folder of changed tables."""

    first: date
    last: date
    estimate_set: str | None = None
    tables: Path | None = None
    with_users: bool = False
    tool_version: str
    configuration: Mapping[str, Any]

    @property
    def days(self) -> list[str]:
        """Every day of the period."""
        return [(self.first + timedelta(days=at)).isoformat() for at in range((self.last - self.first).days + 1)]

    @property
    def period(self) -> Period:
        """The period in ms since 1970."""
        return Period(since_ms=(self.first - _EPOCH).days * DAY_MS, until_ms=((self.last - _EPOCH).days + 1) * DAY_MS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What was packed. head: the hash over all anchors. changed: days whose anchor is another than an earlier pack's.

    unmatched: factor sets whose tables are not in the pack.
    """

    calls: int
    head: str
    changed: tuple[str, ...]
    unmatched: tuple[str, ...]


@dataclass(slots=True)
class _Chain:
    """The records of one kind on their way into a file, and the hash of each day's last one."""

    kind: str
    out: TextIO
    anchors: dict[str, str] = field(default_factory=dict)
    records: int = 0

    def add(self, day: str, record: Record) -> None:
        """One more record of the day."""
        text = canonical(record)
        found = self.anchors[day] = linked(self.anchors[day], text)
        self.out.write(f'{{"hash":"{found}","record":{text}}}\n')
        self.records += 1


def make_pack(
    url: str, wanted: Wanted, into: Path, now_ms: Callable[[], int], advance: Callable[[int], None] = lambda calls: None
) -> Packed:
    """Writes the pack and keeps its anchors in the ledger. Raises StartError: a day that has not ended, no ledger to read."""
    created_ms = now_ms()
    if wanted.period.until_ms is None or wanted.period.until_ms > created_ms:
        raise StartError(f"{wanted.last} has not ended yet (UTC); an audit pack is of whole days, whose records are all there")
    selection = Selection(by="model", since_ms=wanted.period.since_ms, until_ms=wanted.period.until_ms, estimate_set=wanted.estimate_set)
    with TemporaryDirectory(prefix="grammage-audit-") as made:
        folder = Path(made)
        summary = summarise(url, selection, exact=True)
        chains = _write_chains(url, wanted, folder, advance)
        kept = _keep_anchors(url, wanted, chains)
        unmatched = _write_beside(url, wanted, folder, summary)
        head = head_of((f"{chain.kind} {day}", anchor) for chain in chains for day, anchor in chain.anchors.items())
        manifest = _manifest(wanted, folder, summary, chains, kept, head, unmatched, created_ms)
        _write_json(folder / "manifest.json", manifest)
        _zip(folder, into)
    return Packed(calls=chains[0].records, head=head, changed=tuple(kept["changed"]), unmatched=unmatched)


def _write_chains(url: str, wanted: Wanted, folder: Path, advance: Callable[[int], None]) -> tuple[_Chain, _Chain]:
    users: list[Record] = []
    with (
        closing(AuditLedger(url)) as ledger,
        (folder / "facts.jsonl").open("w", encoding="ascii") as facts_out,
        (folder / "estimates.jsonl").open("w", encoding="ascii") as estimates_out,
    ):
        of_set = f"{ESTIMATES} {wanted.estimate_set or LIVE}"
        chains = (_Chain(FACTS, facts_out), _Chain(of_set, estimates_out))
        for chain in chains:
            chain.anchors.update({day: beginning(chain.kind, day) for day in wanted.days})
        for part in ledger.parts(wanted.period, wanted.estimate_set):
            _add(chains, part)
            users += part.users if wanted.with_users else []
            advance(len(part.facts))
        _write_lines(folder / "retags.jsonl", ledger.retags(wanted.period))
    if wanted.with_users:
        _write_lines(folder / "users.jsonl", users)
    return chains


def _add(chains: tuple[_Chain, _Chain], part: DayPart) -> None:
    day = (_EPOCH + timedelta(days=part.day)).isoformat()
    for chain, records in zip(chains, (part.facts, part.opinions), strict=True):
        for record in records:
            chain.add(day, record)


def _keep_anchors(url: str, wanted: Wanted, chains: Sequence[_Chain]) -> dict[str, Any]:
    """Keeps each day's anchors in the ledger, first come; says which are others than those of an earlier pack."""
    before: dict[str, str] = {}
    with closing(Store(url)) as store:
        for chain in chains:
            suffix = "" if chain.kind == FACTS else f".{wanted.estimate_set or LIVE}"
            for day, anchor in chain.anchors.items():
                kept = store.remember(f"anchor.{day}{suffix}", anchor)
                if kept != anchor:
                    before[f"{chain.kind} {day}"] = kept
        erasures = store.erasures()
    return {"changed": sorted(before), "before": before, "erasures": erasures}


def _write_beside(url: str, wanted: Wanted, folder: Path, summary: Summary) -> tuple[str, ...]:
    """Everything but the chains; returns the factor sets whose tables are others."""
    tables = folder / "tables"
    tables.mkdir()
    try:
        lay_out(wanted.tables, tables)
    except (OSError, ValueError) as error:
        raise StartError(f"--factor-set {wanted.tables}: {error}") from error
    (folder / "METHODS.md").write_bytes(files("estimators").joinpath("METHODS.md").read_bytes())
    (folder / "verify.py").write_bytes(files("proxy.audit").joinpath("data/verify.py").read_bytes())
    _write_json(folder / "configuration.json", wanted.configuration)
    _write_json(folder / "report.json", as_document(summary))
    found = fingerprint(tables)
    return tuple(stamp for stamp in summary.factor_sets if not _is_of(stamp, found))


def _is_of(stamp: str, found: str) -> bool:
    return found.startswith(stamp.rpartition("+")[2])


def _manifest(
    wanted: Wanted,
    folder: Path,
    summary: Summary,
    chains: tuple[_Chain, _Chain],
    kept: Mapping[str, Any],
    head: str,
    unmatched: tuple[str, ...],
    created_ms: int,
) -> dict[str, Any]:
    total = summary.whole.gco2e
    spread = None if total is None else {"mean": total.mean, "low": total.p5, "high": total.p95}
    return {
        "format": FORMAT,
        "tool": "grammage",
        "tool_version": wanted.tool_version,
        "created": datetime.fromtimestamp(created_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "days": wanted.days,
        "time_zone": "UTC",
        "estimates": wanted.estimate_set or LIVE,
        "records": {chain.kind.partition(" ")[0]: chain.records for chain in chains},
        "anchors": {chain.kind.partition(" ")[0]: chain.anchors for chain in chains},
        "anchors_before": kept["before"],
        "erasures": kept["erasures"],
        "head": head,
        "total_gco2e": spread,
        "factor_sets": list(summary.factor_sets),
        "factor_sets_without_tables": list(unmatched),
        "tables_sha256": fingerprint(folder / "tables"),
        "configuration_sha256": _sha256(folder / "configuration.json"),
        "files": {str(file.relative_to(folder)): _sha256(file) for file in _files(folder)},
    }


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=True) + "\n", encoding="ascii")


def _write_lines(path: Path, records: Sequence[Record]) -> None:
    path.write_text("".join(f"{canonical(record)}\n" for record in records), encoding="ascii")


def _zip(folder: Path, into: Path) -> None:
    """The folder as a zip, put in place when it is whole. Raises StartError when it cannot be written."""
    part = into.with_name(f"{into.name}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as packed:
            for file in _files(folder):
                entry = zipfile.ZipInfo(str(file.relative_to(folder)), _STAMPED)
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                with file.open("rb") as read, packed.open(entry, "w", force_zip64=True) as out:
                    shutil.copyfileobj(read, out)
        part.replace(into)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StartError(f"cannot write {into}: {error.strerror}") from error
