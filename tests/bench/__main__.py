"""`python -m tests.bench`: runs every part and prints the table of budgets. It must never leave anything running."""

import argparse
import contextlib
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.bench import load, measure, micro, servers
from tests.bench.table import Row, as_json, render

STARTS = 3


def main() -> int:
    """Exit code: 0 when every floor is reached, 1 when one is not."""
    options = _options()
    plan = measure.QUICK if options.quick else measure.FULL
    if options.calls:
        plan = replace(plan, calls=options.calls)
    cores = servers.choose_cores()
    if cores.load is not None:
        os.sched_setaffinity(0, {cores.load})
    if shutil.which("nginx") is None:
        _tell("nginx is not installed: no yardstick, and a slower mock; for both: apt-get install nginx-light")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="grammage-bench-") as name:
        rows = _run(Path(name), plan, cores)
    print(render(rows))
    about = {
        "machine": platform.platform(),
        "cores": [cores.load, cores.measured],
        "wrk": load.has_wrk(),
        "seconds": round(time.perf_counter() - start),
    }
    _tell(f"{about}")
    if options.json:
        options.json.write_text(as_json(rows, about))
    return 1 if any(row.verdict == "BELOW FLOOR" for row in rows) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Weighs the proxy beside nginx, on 127.0.0.1 alone.")
    parser.add_argument("--quick", action="store_true", help="under a minute; figures are rough")
    parser.add_argument("--calls", type=int, help="calls over which memory is watched, such as 1000000")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    return parser.parse_args()


def _run(folder: Path, plan: measure.Plan, cores: servers.Cores) -> list[Row]:
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(servers.stream_mock(cores.load))
        unary, nginx = stream, None
        if shutil.which("nginx") is not None:
            unary = stack.enter_context(servers.nginx_mock(folder, cores.load))
            nginx = stack.enter_context(servers.nginx_proxy(folder, cores.measured, unary.port, stream.port))
        starts = list(_starts(folder, cores, unary.port, stream.port))
        rows: list[Row] = []
        with servers.proxy(folder / "run", cores.measured, unary.port, stream.port) as proxy:
            house = measure.House(unary, stream, nginx, proxy, folder, plan)
            measure.check_answers(house)
            for part in (measure.unary, measure.latency, measure.streams, measure.pictures):
                _tell(f"{part.__name__} ...")
                rows += part(house)
                measure.settle()
        _tell("memory ...")
        with servers.proxy(folder / "memory", cores.measured, unary.port, stream.port) as proxy:
            measure.settle()
            rows += measure.memory(replace(house, proxy=proxy), _tell)
    ready_s = statistics.median(starts)
    rows.append(Row("start to ready", "s", ready_s, 2.5, 1.2, sense="at most", note=f"median of {len(starts)}"))
    rows += _in_process(2_000 if plan.calls < measure.FULL.calls else 20_000)
    for name in ("run", "memory"):
        kept, told = measure.calls_in_ledger(folder / name), (folder / name / "log.jsonl").read_bytes().count(b'"call_id"')
        rows.append(Row(f"calls in the ledger, part {name}", "calls", kept, note=f"{told:,} log lines"))
    return rows


def _starts(folder: Path, cores: servers.Cores, unary: int, stream: int) -> Iterator[float]:
    for number in range(STARTS):
        with servers.proxy(folder / f"start-{number}", cores.measured, unary, stream) as running:
            yield running.ready_s


def _in_process(calls: int) -> list[Row]:
    return [
        Row("meter + weigh + tag", "us", micro.meter_weigh_tag(calls), 60, 25, sense="at most", note="in process, 1 KB answer"),
        Row("metrics of one call", "us", micro.observe(calls)),
        Row("log line of one call", "us", micro.log_line(calls)),
    ]


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
