"""Times the rooms between the provider's last byte and the client's first, in process. It must never time a socket."""

import gc
import time
from collections.abc import Callable

from config.settings import Settings
from config.tables import load_tables
from proxy.log import call_line
from proxy.meter.reply import read_reply
from proxy.meter.usage import read_usage
from proxy.metrics import Metrics
from proxy.policy.candidates import candidates_from
from proxy.splice import append_member, replace_exact
from proxy.tag import deployment_headers as deployed
from proxy.tag import figures_of, footprint_headers, footprint_member
from proxy.weigh import Scales, WeighingRules
from tests.bench.bodies import unary_answer
from tests.sample_records import CALL_ID, call

ROUNDS = 7


def meter_weigh_tag(calls: int) -> float:
    """Processor microseconds to read usage from a 1 KB answer, weigh it, and write headers and usage.footprint; best of several rounds."""
    tables = load_tables()
    candidate = candidates_from(Settings(), tables.places).of("gpt-4o-mini")[0]
    scales = Scales(tables, WeighingRules(operating_prior="typical", profile="sci-consumer"))
    prepared = scales.prepare(candidate, "gpt-4o-mini-2024-07-18", "chat")
    body = unary_answer()

    def once() -> None:
        head = read_reply(body)
        assert head.usage_raw is not None
        assert head.served_model is not None
        usage = read_usage(head.usage_raw)
        assert usage is not None
        estimate = prepared.estimate(usage)
        figures = figures_of(estimate)
        headers = footprint_headers(estimate, figures, b"final")
        headers += deployed(candidate, head.served_model, False, "none", "")
        replace_exact(body, "usage", head.usage_raw, append_member(head.usage_raw, footprint_member(estimate, figures, CALL_ID)))

    return _best(once, calls)


def observe(calls: int) -> float:
    """Processor microseconds for the metrics of one call."""
    metrics = Metrics(Settings(tags={"campaign": ["noel-26"]}), load_tables())
    record = call()
    return _best(lambda: metrics.observe(record), calls)


def log_line(calls: int) -> float:
    """Processor microseconds to make the log line of one call."""
    record = call()
    return _best(lambda: call_line(record), calls)


def _best(work: Callable[[], object], calls: int) -> float:
    gc.collect()
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(calls):
            work()
        best = min(best, time.process_time() - start)
    return best / calls * 1e6
