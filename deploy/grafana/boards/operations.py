"""Describes the dashboard for who runs the proxy: calls, times, ledger, upstreams. It must never carry a tag of a campaign."""

from deploy.grafana.promql import JOB, MODEL, quantile, rate, ratio, total
from deploy.grafana.spec import Board, Panel, Query, Row

QUANTILES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
REQUESTS = "grammage_requests_total"
FAILED = 'outcome=~"upstream_error|upstream_cut|given_up"'


def _gauge(key: str, metric: str, unit: str, *, width: int = 6, limits: tuple[float, float] | None = None) -> Panel:
    return Panel(
        key=key,
        kind="line",
        queries=(Query(expr=f"max by (instance) ({metric}{{{JOB}}})", name="{{instance}}"),),
        units=(unit,),
        width=width,
        limits=limits,
    )


def _times(key: str, histogram: str, filters: str) -> Panel:
    queries = tuple(Query(expr=quantile(share, histogram, filters), name=name, exemplars=name == "p99") for share, name in QUANTILES)
    return Panel(key=key, kind="line", queries=queries, units=("s",), width=8)


STATE = (
    Panel(key="up", kind="stat", queries=(Query(expr=f"up{{{JOB}}}", name="{{instance}}"),), width=6, height=5, yes_no=True),
    Panel(
        key="reload",
        kind="stat",
        queries=(Query(expr=f"grammage_config_reload_success{{{JOB}}}", name="{{instance}}"),),
        width=6,
        height=5,
        yes_no=True,
    ),
    Panel(
        key="build",
        kind="stat",
        queries=(Query(expr=f"count by (version, python) (grammage_build_info{{{JOB}}})", name="{{version}} (Python {{python}})"),),
        width=6,
        height=5,
    ),
    Panel(
        key="alerts",
        kind="stat",
        queries=(Query(expr='count(ALERTS{alertname=~"Grammage.*",alertstate="firing"}) or vector(0)', name="firing"),),
        width=6,
        height=5,
        limits=(1, 1),
    ),
)
CALLS = (
    Panel(key="outcomes", kind="stacked", queries=(Query(expr=rate(REQUESTS, MODEL, by="outcome"), name="{{outcome}}"),), units=("reqps",)),
    Panel(
        key="error_share",
        kind="line",
        queries=(
            Query(
                expr=ratio(
                    f"({rate(REQUESTS, MODEL, by='provider', more=FAILED)} or 0 * {rate(REQUESTS, MODEL, by='provider')})",
                    rate(REQUESTS, MODEL, by="provider"),
                ),
                name="{{provider}}",
            ),
        ),
        units=("percentunit",),
        limits=(0.02, 0.05),
        most=1.0,
    ),
    _times("duration", "grammage_request_duration_seconds", MODEL),
    _times("first_token", "grammage_time_to_first_token_seconds", MODEL),
    _times("overhead", "grammage_proxy_overhead_seconds", JOB),
    Panel(
        key="duration_by_model",
        kind="line",
        queries=(Query(expr=quantile(0.95, "grammage_request_duration_seconds", MODEL, by="model"), name="{{model}}"),),
        units=("s",),
    ),
    Panel(
        key="operations_rate",
        kind="stacked",
        queries=(
            Query(expr=rate(REQUESTS, MODEL, by="operation"), name="{{operation}}"),
            Query(expr=rate("grammage_passthrough_requests_total", JOB, by="kind, status"), name="{{kind}} {{status}}, [not_weighed]"),
        ),
        units=("reqps",),
    ),
)
UPSTREAMS = (
    Panel(
        key="passed_over",
        kind="line",
        queries=(
            Query(
                expr=f"max by (alias, provider, region) (grammage_deployment_passed_over{{{JOB}}})",
                name="{{alias}}: {{provider}} {{region}}",
            ),
        ),
        most=1.0,
    ),
    Panel(
        key="failed_attempts",
        kind="stacked",
        queries=(Query(expr=rate("grammage_failed_attempts_total", JOB, by="provider, status"), name="{{provider}} {{status}}"),),
        units=("reqps",),
    ),
)
LEDGER = (
    _gauge("ledger_queue", "grammage_ledger_queue_calls", "short", limits=(1_000, 10_000)),
    _gauge("ledger_oldest", "grammage_ledger_oldest_call_seconds", "s", limits=(5, 30)),
    _gauge("ledger_commit", "grammage_ledger_commit_seconds", "s", limits=(0.1, 1)),
    Panel(
        key="ledger_losses",
        kind="line",
        queries=(
            Query(expr=total("grammage_ledger_spooled_total", JOB), name="spooled"),
            Query(expr=total("grammage_ledger_failures_total", JOB), name="lost"),
        ),
        width=6,
        limits=(1, 1),
    ),
)
SCRAPE = (
    Panel(key="samples", kind="line", queries=(Query(expr=f"scrape_samples_scraped{{{JOB}}}", name="{{instance}}"),), width=8),
    Panel(
        key="scrape_time",
        kind="line",
        queries=(Query(expr=f"scrape_duration_seconds{{{JOB}}}", name="{{instance}}"),),
        units=("s",),
        width=8,
    ),
    Panel(
        key="dropped",
        kind="line",
        queries=(
            Query(expr=total("grammage_log_dropped_lines_total", JOB), name="log_lines"),
            Query(expr=total("grammage_label_overflow_total", JOB), name="folded"),
        ),
        width=8,
        limits=(1, 1),
    ),
)
OPERATIONS = Board(
    key="operations",
    variables=("job", "model"),
    rows=(
        Row(key="state", panels=STATE),
        Row(key="calls_row", panels=CALLS),
        Row(key="upstreams", panels=UPSTREAMS),
        Row(key="ledger", panels=(Panel(key="truth", kind="text", width=24, height=4, words="truth"), *LEDGER)),
        Row(key="scrape", panels=SCRAPE),
    ),
)
