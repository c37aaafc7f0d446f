"""What each kind of meter is asked, in which unit it answers, and what its figure contains. It must never ask anybody."""

from collections.abc import Mapping
from dataclasses import dataclass

from config.deployment import Meter
from estimators.usage import MeterBoundary

PROMETHEUS_PATH = "/api/v1/query"
TENSORRT_PATH = "/energy_metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of meter.

    query: PromQL with `{labels}` where the selector goes (`{more}` inside braces that hold labels already); empty: no query is asked.
    unit_j: joules per unit. is_power: a gauge in watts, not a counter. boundary: what the figure contains; `gpu` counts only the
    intervals in which calls ran (idle hours are added later), the others count all.
    """

    path: str
    query: str
    unit_j: float
    boundary: MeterBoundary
    is_power: bool = False


KINDS: Mapping[str, Kind] = {
    "dcgm": Kind(
        path=PROMETHEUS_PATH,
        query="max by (Hostname, gpu, UUID) (DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{labels})",
        unit_j=1e-3,
        boundary="gpu",
    ),
    "dcgm-power": Kind(
        path=PROMETHEUS_PATH,
        query="max by (Hostname, gpu, UUID) (DCGM_FI_DEV_POWER_USAGE{labels})",
        unit_j=1.0,
        boundary="gpu",
        is_power=True,
    ),
    "kepler": Kind(
        path=PROMETHEUS_PATH,
        query='kepler_node_cpu_joules_total{zone=~"package|dram",{more}} or kepler_node_gpu_joules_total{labels}',
        unit_j=1.0,
        boundary="it",
    ),
    "kepler-pod": Kind(path=PROMETHEUS_PATH, query="kepler_pod_gpu_joules_total{labels}", unit_j=1.0, boundary="gpu"),
    "tensorrt-llm": Kind(path=TENSORRT_PATH, query="", unit_j=1.0, boundary="gpu"),
    "query": Kind(path=PROMETHEUS_PATH, query="", unit_j=1.0, boundary="it"),
}


def kind_of(meter: Meter) -> Kind:
    """The row of the table for a configured meter."""
    return KINDS[meter.kind]


def boundary_of(meter: Meter) -> MeterBoundary:
    """What the meter's figure contains: as configured, else as its kind has it."""
    return meter.boundary or kind_of(meter).boundary


def promql(meter: Meter) -> str:
    """The query to ask; the configured one goes as it is."""
    if meter.query is not None:
        return meter.query
    pairs = ",".join(f'{name}="{_quoted(value)}"' for name, value in sorted(meter.labels.items()))
    return kind_of(meter).query.replace("{more}", pairs).replace("{labels}", "{" + pairs + "}")


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
