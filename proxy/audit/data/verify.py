"""Checks an unpacked audit pack offline: python verify.py [FOLDER]. It prints OK, or the first fault, and ends with 0 or 1.

It needs Python 3.9 or newer and nothing else; it shares no code with the program that made the pack. What it checks:
  1. every file is the one that the manifest names, and no file is missing or too many;
  2. records stand in the order of their time, each hash follows from the record and the hash before it, day by day; the last one of
     each day is its anchor, every day of the period has one, and the head follows from all anchors;
  3. every estimate is of an attempt among the facts, one for each, and its expected value follows from its median and its doubt;
  4. the factor tables are those whose fingerprint the estimates bear;
  5. the sum of the expected values, and its range from the parts of the doubt, are the total that the report states.
Whoever can write the pack can write a manifest that fits it: compare the head with one that was published or kept elsewhere.
"""

import hashlib
import json
import math
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

FORMAT = "grammage-audit-1"
NOTHING = "0" * 64
EPOCH, DAY_MS = date(1970, 1, 1), 86_400_000
SHARED = ("method", "provider", "model", "zone")
LINES = ("facility_energy_wh", "operational_gco2e", "embodied_gco2e", "gco2e", "water_ml")
GROUP = ("method", "method_version", "quality", "factor_set", "profile")
Z95 = 1.6448536269514722


class Fault(Exception):
    """What is wrong."""


def canonical(record: Any) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def linked(before: str, text: str) -> str:
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def need(condition: Any, fault: str) -> None:
    if not condition:
        raise Fault(fault)


def check_files(folder: Path, manifest: Any) -> None:
    present = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()} - {"manifest.json"}
    for name in sorted(set(manifest["files"]) | present):
        need(name in present, f"{name}: is missing")
        need(name in manifest["files"], f"{name}: is not in the manifest")
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        need(found == manifest["files"][name], f"{name}: is not the file that the manifest names")


def check_days(manifest: Any) -> None:
    days = manifest["days"]
    need(days, "manifest.json: names no day")
    for kind, anchors in manifest["anchors"].items():
        need(sorted(anchors) == days, f"anchors of {kind}: a day is missing, or outside the period: {sorted(set(anchors) ^ set(days))}")
    expected = [(date.fromisoformat(days[0]) + timedelta(at)).isoformat() for at in range(len(days))]
    need(days == expected, "manifest.json: the days do not follow one another")


def chained(folder: Path, manifest: Any, kind: str, chain_name: str, day_of: Any) -> Any:
    """The records of a file, each checked against the chain; day_of tells a record's day and its place in time."""
    found = {day: linked(NOTHING, f"{FORMAT} {chain_name} {day}") for day in manifest["days"]}
    last: Any = None
    count = 0
    with (folder / f"{kind}.jsonl").open(encoding="ascii") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{kind}.jsonl:{number}"
            try:
                entry = json.loads(line)
                record, stated = entry["record"], entry["hash"]
                day, place = day_of(record)
            except (ValueError, KeyError, TypeError) as error:
                raise Fault(f"{where}: cannot be read: {error!r}") from error
            need(day in found, f"{where}: is of {day}, which is no day of the pack")
            need(last is None or last < place, f"{where}: is out of order")
            found[day] = linked(found[day], canonical(record))
            need(found[day] == stated, f"{where}: the hash does not follow from the record and those before it")
            last, count = place, count + 1
            yield where, record
    need(count == manifest["records"][kind], f"{kind}.jsonl: {count} records, the manifest says {manifest['records'][kind]}")
    for day, anchor in manifest["anchors"][kind].items():
        need(found[day] == anchor, f"{kind}.jsonl: the day {day} does not end with its anchor")


def check_facts(folder: Path, manifest: Any) -> Any:
    """The attempts among the facts: their place in time, provider and model."""

    def day_of(call: Any) -> Any:
        day = EPOCH + timedelta(days=call["started_ms"] // DAY_MS)
        return day.isoformat(), (call["started_ms"], call["call_id"])

    attempts: Any = {}
    for where, call in chained(folder, manifest, "facts", "facts", day_of):
        day, place = day_of(call)
        for at, attempt in enumerate(call["attempts"]):
            need(attempt["attempt_id"] not in attempts, f"{where}: attempt {attempt['attempt_id']} is there twice")
            attempts[attempt["attempt_id"]] = (day, (*place, at), attempt["provider"], attempt["model"])
    return attempts


def check_estimates(folder: Path, manifest: Any, attempts: Any) -> Any:
    """The sums by what estimates share: [sum of means, of mean x sd by shared scope, of the calls' own moments]."""
    groups: Any = {}
    stamps: Any = set()

    def day_of(estimate: Any) -> Any:
        need(estimate["attempt_id"] in attempts, f"estimate {estimate['estimate_id']}: is of an attempt that is not among the facts")
        return attempts[estimate["attempt_id"]][:2]

    name = f"estimates {manifest['estimates']}"
    for where, estimate in chained(folder, manifest, "estimates", name, day_of):
        for line in (each for each in LINES if estimate[f"{each}_p50"] is not None):
            mean = estimate[f"{line}_p50"] * math.exp(math.fsum(estimate[f"{line}_var_{scope}"] for scope in (*SHARED, "call")) / 2)
            need(math.isclose(estimate[line], mean, rel_tol=1e-9), f"{where}: {line} does not follow from its median and its doubt")
        _, _, provider, model = attempts[estimate["attempt_id"]]
        shared = (f"{estimate['method']}@{estimate['method_version']}", provider, model, estimate["zone"])
        group = groups.setdefault((shared, *(estimate[each] for each in GROUP)), [[], [], [], [], [], []])
        mean = estimate["gco2e"]
        group[0].append(mean)
        for at, scope in enumerate(SHARED, 1):
            group[at].append(mean * math.sqrt(estimate[f"gco2e_var_{scope}"]))
        group[5].append(mean * mean * math.expm1(estimate["gco2e_var_call"]))
        stamps.add(estimate["factor_set"])
    return [(key[0], [math.fsum(each) for each in sums]) for key, sums in groups.items()], stamps


def total_of(groups: Any) -> tuple[float, float, float]:
    """Mean, 5th and 95th percentile of the sum: what two groups share adds in full, what is each call's own averages out."""
    groups = [(keys, sums) for keys, sums in groups if sums[0] > 0]
    whole = math.fsum(sums[0] for _, sums in groups)
    moments = []
    for keys, sums in groups:
        doubt = math.fsum((weighted / sums[0]) ** 2 for weighted in sums[1:5])
        moments.append(math.exp(doubt) * sums[5] / whole**2)
        for other_keys, other in groups:
            common = [at for at in range(4) if keys[at] == other_keys[at]]
            covariance = math.fsum(sums[at + 1] * other[at + 1] for at in common) / (sums[0] * other[0])
            moments.append(sums[0] * other[0] / whole**2 * math.expm1(covariance))
    variance = math.log1p(math.fsum(moments))
    median, reach = whole * math.exp(-variance / 2), math.exp(Z95 * math.sqrt(variance))
    return whole, median / reach, median * reach


def check_tables(folder: Path, manifest: Any, stamps: Any) -> Any:
    tables = [(file.name, file.read_bytes()) for file in sorted((folder / "tables").iterdir(), key=lambda each: each.name)]
    found = hashlib.sha256(b"".join(f"{name}\0{len(content)}\0".encode() + content for name, content in tables)).hexdigest()
    need(found == manifest["tables_sha256"], "tables: the fingerprint is not the manifest's")
    without = {stamp for stamp in stamps if not found.startswith(stamp.rpartition("+")[2])}
    need(without == set(manifest["factor_sets_without_tables"]), "tables: they are not those that the estimates name")
    return sorted(without)


def check_total(folder: Path, manifest: Any, groups: Any) -> str:
    stated = json.loads((folder / "report.json").read_text(encoding="ascii"))["total"]["gco2e"]
    need(stated == manifest["total_gco2e"], "report.json: its total is not the manifest's")
    if not groups and stated is None:
        return "nothing was weighed"
    mean, low, high = total_of(groups)
    need(stated and math.isclose(mean, stated["mean"], rel_tol=1e-9), f"the estimates sum up to {mean} g, the report states {stated}")
    alike = all(math.isclose(found, stated[at], rel_tol=1e-3) for found, at in ((low, "low"), (high, "high")))
    need(alike, f"the range is {low} to {high} g, the report states {stated}")
    return f"{mean:.6g} gCO2e ({low:.6g} to {high:.6g})"


def verify(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="ascii"))
    need(manifest["format"] == FORMAT, f"manifest.json: format {manifest['format']!r} is not {FORMAT}")
    check_files(folder, manifest)
    check_days(manifest)
    attempts = check_facts(folder, manifest)
    groups, stamps = check_estimates(folder, manifest, attempts)
    head = NOTHING
    for kind, name in (("facts", "facts"), ("estimates", f"estimates {manifest['estimates']}")):
        for day in manifest["days"]:
            head = linked(head, f"{name} {day} {manifest['anchors'][kind][day]}")
    need(head == manifest["head"], "manifest.json: the head does not follow from the anchors")
    without = check_tables(folder, manifest, stamps)
    total = check_total(folder, manifest, groups)
    print(f"total {total}; {len(attempts)} attempts, {len(manifest['days'])} days; head {head}")
    for stamp in without:
        print(f"note: the tables of factor set {stamp} are not in this pack")
    for anchor in manifest["anchors_before"]:
        print(f"note: an earlier pack had another anchor for {anchor}: records came or went since")


if __name__ == "__main__":
    try:
        verify(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
    except (Fault, OSError, ValueError, KeyError, TypeError) as fault:
        print(f"FAULT {fault if isinstance(fault, Fault) else repr(fault)}")
        sys.exit(1)
    print("OK")
