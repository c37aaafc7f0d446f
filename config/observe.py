"""How calls are taken in that never came through the proxy, as the YAML file holds it. It must never read a file or the environment."""

from typing import Annotated

from pydantic import Field

from config.duration import Seconds
from config.section import Section

_Address = Annotated[str, Field(min_length=1, max_length=260)]


class Otlp(Section):
    """A receiver of OpenTelemetry spans (OTLP over HTTP). Spans of calls of a model become calls of the ledger; all others are let go."""

    path: str = Field(
        default="/v1/traces", pattern=r"^(/[A-Za-z0-9._~-]+)+$", max_length=128, description="Where exporters send spans, after base_path."
    )
    body_mb: float = Field(default=8, gt=0, le=256, description="Largest request, unpacked, MiB.")
    spans: int = Field(default=5000, ge=1, le=100_000, description="Most spans that are read of one request; the rest is refused.")
    oldest: Seconds = Field(default=7 * 86_400, description="Spans that began longer ago are refused, such as 7d.")
    own_addresses: list[_Address] = Field(
        default=[],
        description=(
            "host or host:port under which applications reach this proxy, beside server.listen: spans of calls to it are not counted again."
        ),
    )
    tags: dict[str, str] = Field(
        default={}, description="Attributes of spans or their resource that are tags, by the tag's name, such as {tool: service.name}."
    )


class Observe(Section):
    """Calls that never came through the proxy."""

    otlp: Otlp | None = Field(default=None, description="A receiver of OpenTelemetry spans; null: there is none.")
