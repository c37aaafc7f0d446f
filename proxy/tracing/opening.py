"""Opens the tracing that the settings ask for. It must never load a package of OpenTelemetry where they ask for none."""

import sys

from config.telemetry import Tracing
from proxy.errors import StartError
from proxy.tracing.tracer import Tracer

TRACES = "/v1/traces"
TIMEOUT_S = 10.0
TURN_S = 0.001
"""How long the thread that writes spans may keep the interpreter from the event loop; Python's own 5 ms would be seen in every p99."""


def open_tracer(tracing: Tracing | None, version: str) -> Tracer | None:
    """The tracer, None where there is none; blocks for as long as its packages take to load. Raises StartError without them."""
    if tracing is None:
        return None
    try:
        from proxy.tracing.otlp_door import OtlpDoor  # the packages of an extra
    except ImportError as error:
        raise StartError(
            f"`tracing:` is set, and the packages that send spans are not there ({error.name}): pip install 'grammage[otel]'."
        ) from error
    door = OtlpDoor(
        url=traces_url(tracing.endpoint),
        headers=tracing.headers,
        service_name=tracing.service_name,
        version=version,
        timeout_s=TIMEOUT_S,
    )
    sys.setswitchinterval(min(TURN_S, sys.getswitchinterval()))
    return Tracer(door, sample_ratio=tracing.sample_ratio)


def traces_url(endpoint: str) -> str:
    """Where spans are posted, below the base URL of a receiver; a URL that names that path stays."""
    base = endpoint.rstrip("/")
    return base if base.endswith(TRACES) else base + TRACES
