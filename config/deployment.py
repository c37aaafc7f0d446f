"""Deployments and the aliases that callers write, as the YAML file holds them. It must never read a file or the environment."""

from typing import Literal

from pydantic import Field

from config.price import Price
from config.providers import CREDENTIAL, OWN_CREDENTIALS, Dialect, provider_id
from config.section import Section

OperatingPrior = Literal["saturated", "at_scale", "typical", "low_traffic"]

Ability = Literal["tools", "json_schema", "streaming", "vision"]
"""What a call may need of a model."""


class Meter(Section):
    """An energy meter of one's own server, asked beside the calls and shared out among them by tokens and time.

    The meter must see this deployment and nothing else, and its calls must all come through this one process: what others cause is
    charged to the calls that are seen. `interval_s` is not shorter than Prometheus's scrape interval.
    """

    kind: Literal["dcgm", "dcgm-power", "kepler", "kepler-pod", "tensorrt-llm", "query"] = Field(
        description=(
            "dcgm: DCGM exporter's energy counter (GPUs); dcgm-power: its power gauge; kepler: energy of whole nodes with idle; "
            "kepler-pod: a pod's share of the GPUs; tensorrt-llm: the server's /energy_metrics (GPUs); query: a PromQL counter in joules."
        )
    )
    url: str = Field(repr=False, description="Base URL of Prometheus, or of the TensorRT-LLM server.")
    query: str | None = Field(
        default=None, min_length=1, description="PromQL instead of the kind's own, in the kind's unit; one series per counter."
    )
    labels: dict[str, str] = Field(default={}, description="Labels that pick this deployment's series, such as {Hostname: gpu-3}.")
    interval_s: float = Field(default=30, ge=1, le=3600, description="Seconds between two readings.")
    boundary: Literal["gpu", "it", "facility"] | None = Field(
        default=None,
        description="What the figure contains: gpu alone; it: servers with idle; facility: with cooling. Null: as the kind has it.",
    )
    token: str | None = Field(default=None, repr=False, description="Bearer token for the meter; usually ${VAR} or file:/path.")


class StatedHardware(Section):
    """What is known of the machines that serve a deployment; each fact left out is weighed as a mixture of what is common."""

    gpu: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Accelerator, such as h100, b200, a100, mi300x, l40s, as data sheets name it.",
    )
    gpus: int | None = Field(default=None, ge=1, le=100_000, description="Accelerators that serve one copy of the model together.")
    precision: str | None = Field(
        default=None, min_length=1, max_length=32, description="Of the weights: bf16, fp8, fp4, int4 or fp32, or a word for one of them."
    )
    batch: float | None = Field(
        default=None, ge=1, le=1_000_000, description="Requests decoded together on one copy, on average while it works."
    )
    attention_data_parallel: int | None = Field(
        default=None, ge=1, le=100_000, description="Copies of the attention part among which requests are split; 1: sharded like the rest."
    )


class Deployment(Section):
    provider: str = Field(min_length=1, description="Provider id, such as openai, azure, mistral, simulated.")
    model: str | None = Field(default=None, description="Name at the provider; null keeps the caller's.")
    api_base: str | None = Field(default=None, description="Base URL up to and including /v1.")
    api_version: str | None = Field(
        default=None, description="Azure's dated `api-version`; null: its /openai/v1 addresses, which need none."
    )
    dialects: list[Dialect] | None = Field(
        default=None, min_length=1, description="Dialects whose bytes it takes as they are; null: as the provider is known to."
    )
    door: Literal["wire", "litellm"] | None = Field(
        default=None, description="wire: bytes go through; litellm: calls are translated; null: wire where the provider speaks the dialect."
    )
    params: dict[str, str | int | float | bool] = Field(
        default={},
        repr=False,
        description="What LiteLLM needs to reach it, such as aws_region_name or vertex_project; values may be secrets.",
    )
    weight: float = Field(
        default=1.0, ge=0, description="Share of the alias's calls among deployments of the same order; 0: fallback only."
    )
    order: int = Field(default=0, ge=0, description="Deployments of the lowest order come first; the others are fallbacks.")
    region: str | None = Field(default=None, description="Cloud region that serves it, such as swedencentral.")
    zone: str | None = Field(default=None, description="Grid zone, when the region is unknown to the tables.")
    api_key: str | None = Field(default=None, repr=False, description="Provider key; null forwards the caller's own.")
    catalogue_model: str | None = Field(default=None, description="Catalogue model to weigh it as, when the name does not tell.")
    meter: Meter | None = Field(default=None, description="A meter of the servers behind it; null: weighed by the model.")
    hardware: StatedHardware | None = Field(default=None, description="What is known of the machines that serve it; null: nothing.")
    price: Price | None = Field(default=None, description="What it costs you; null: not known. One currency for all deployments.")
    operating_prior: OperatingPrior | None = Field(
        default=None, description="How busy its machines are assumed to be; null: as `weighing.operating_prior` has it."
    )

    @property
    def has_credentials(self) -> bool:
        """True when the operator pays its calls: with a key, with what stands in `params`, or with the cloud's own credentials."""
        own = self.api_key is not None or provider_id(self.provider) in OWN_CREDENTIALS
        return own or any(CREDENTIAL.search(name) for name in self.params)


class Retry(Section):
    """When a call is sent again, to the next deployment or the same one; never after the first byte of an answer has left.

    A caller's own error (400, 401, 403, 404, 409, 422 and the like) is never tried again.
    """

    attempts: int | None = Field(
        default=None,
        ge=1,
        le=10,
        description="Most attempts per call, the first included; null: 2, or one per deployment.",
    )
    on: list[Literal["connection", "timeout", "429", "5xx"]] | None = Field(
        default=None,
        description=(
            "What is tried again: connection (not reached, or hung up before the answer), timeout (silence before it), 429, 5xx. Null: all "
            "of these where another deployment can take the call; the same deployment again only when it could not be reached."
        ),
    )
    longest_wait_s: float = Field(
        default=5, ge=0, le=120, description="Longest wait, such as `retry-after`, for the same deployment; above it the answer goes out."
    )


class Breaker(Section):
    """When a deployment that keeps failing is passed over; only where another one can take the call."""

    failures: int = Field(
        default=5, ge=0, le=1000, description="Connection errors, silences and 5xx in a row after which it is passed over; 0: never."
    )
    pause_s: float = Field(
        default=10, gt=0, le=3600, description="Seconds until one call probes it; up to 8 times as long while that fails."
    )


class Timeouts(Section):
    connect_s: float = Field(default=10, gt=0, description="Seconds to reach the deployment.")
    silence_s: float = Field(default=600, gt=0, description="Seconds the deployment may say nothing, before the first byte or between two.")


class Alias(Section):
    quality: float | None = Field(default=None, ge=0, le=1, description="The owner's own score for the use, 0..1.")
    lacks: list[Ability] = Field(default=[], description="What its model cannot do; no policy sends a call there that needs it.")
    deployments: list[Deployment] = Field(min_length=1, description="Where the alias may be served, by order and weight.")
    retry: Retry = Field(default=Retry(), description="When a call is sent again.")
    breaker: Breaker = Field(default=Breaker(), description="When a failing deployment is passed over.")
    timeouts: Timeouts = Field(default=Timeouts(), description="How long its deployments may take.")
