"""Every setting with its type, default and meaning, as the YAML file holds them. It must never read a file or the environment."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BeforeValidator, Field

from config.policies import Policy
from config.providers import CREDENTIAL, OWN_CREDENTIALS, Dialect, provider_id
from config.section import Section

TAG_NAMES = ("brand", "campaign", "tool", "asset", "stage", "audience", "market", "purpose")


MethodName = Literal[
    "metered", "disclosed", "images", "image_tokens", "video", "audio", "embeddings", "moderation", "training", "tokens", "ecologits"
]  # fmt: skip
"""Methods that may report; each is a file of estimators/methods, but for `metered`."""


IntensityKind = Literal["energy-charts", "uk-neso", "france-odre", "electricity-maps", "watttime"]
"""Live sources; each is a file of proxy/intensity."""


OperatingPrior = Literal["saturated", "at_scale", "typical", "low_traffic"]


class Cors(Section):
    origins: list[str] = Field(default=[], description="Origins that browsers may call from; empty: CORS is off.")


class Limits(Section):
    json_body_mb: float = Field(default=64, gt=0, description="Largest JSON body of a metered endpoint, MiB.")
    upload_mb: float = Field(default=1024, gt=0, description="Largest body of any other request, MiB.")
    header_kb: float = Field(default=64, gt=0, description="Largest sum of request header bytes, KiB.")


class Server(Section):
    listen: str = Field(default="127.0.0.1:8080", description="host:port to listen on.")
    base_path: str = Field(default="", description="Path prefix in front of /v1, such as /llm.")
    cors: Cors = Field(default=Cors(), description="Browser access from other origins.")
    limits: Limits = Field(default=Limits(), description="Largest requests that are accepted.")
    drain_s: float = Field(default=120, ge=0, description="Seconds that open streams get to finish after SIGTERM.")


class Admin(Section):
    listen: str | None = Field(default=None, description="Separate host:port for /metrics and reports; open to who can reach it.")


def _to_its_end(text: object) -> object:
    """A day means its end."""
    return f"{text}T23:59:59.999Z" if isinstance(text, str) and len(text) == len("2027-01-31") else text


Expiry = Annotated[AwareDatetime, BeforeValidator(_to_its_end)]


class Key(Section):
    key: str = Field(min_length=8, repr=False, description="The secret a caller presents; usually ${VAR} or file:/path.")
    name: str = Field(min_length=1, max_length=64, description="What records and reports call this key; unique.")
    role: Literal["caller", "viewer", "admin"] = Field(default="caller", description="viewer: reports only; admin: everything.")
    tags: dict[str, str] = Field(default={}, description="Tags bound to the key; callers cannot override them.")
    models: list[str] | None = Field(default=None, description="Aliases the key may use; null: all.")
    brands: list[str] | None = Field(default=None, description="Values of the tag `brand` whose figures a viewer sees; null: all.")
    expires: Expiry | None = Field(default=None, description="Last day, such as 2027-01-31 (UTC), or an instant; null: never.")
    requests_per_minute: int | None = Field(default=None, ge=1, description="Most calls in a minute; null: no limit.")
    tokens_per_minute: int | None = Field(default=None, ge=1, description="Most tokens in a minute, in and out; null: no limit.")


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
    deployments: list[Deployment] = Field(min_length=1, description="Where the alias may be served, by order and weight.")
    retry: Retry = Field(default=Retry(), description="When a call is sent again.")
    breaker: Breaker = Field(default=Breaker(), description="When a failing deployment is passed over.")
    timeouts: Timeouts = Field(default=Timeouts(), description="How long its deployments may take.")


class Tagging(Section):
    headers: bool = Field(default=True, description="Add x-grammage-* response headers.")
    body: bool = Field(default=True, description="Add usage.footprint to replies that carry usage.")
    compat: list[Literal["opengatellm"]] = Field(default=[], description="Further shapes to write, such as usage.impacts.")


class Ledger(Section):
    url: str = Field(
        default="sqlite:///grammage.db",
        repr=False,
        description="Where calls are recorded: sqlite:///file (relative to the working directory) or postgresql://.",
    )
    durability: Literal["commit", "fsync", "async"] = Field(
        default="commit", description="commit survives kill -9; fsync also a power cut; async may lose the last calls."
    )
    spool_reserve_mb: float = Field(default=64, ge=1, description="Disk kept in reserve for calls when the database is down.")
    on_failure: Literal["pass", "deny"] = Field(
        default="pass", description="When database, spool and memory are full: answer anyway, or deny new calls."
    )
    queue_calls: int = Field(default=50_000, ge=100, description="Most calls kept in memory.")


class Weighing(Section):
    operating_prior: OperatingPrior = Field(
        default="typical",
        description="How busy the provider's machines are assumed to be; a factor row each. typical: at_scale for vendors' mass services.",
    )
    methods: list[MethodName] = Field(
        default=[],
        description=(
            "Methods in the order in which they may weigh; empty: the usual order (a call's own meter, a reviewed disclosure of this very "
            "version, the operation's own method, tokens). What none of them covers is weighed by tokens, with a warning."
        ),
    )
    profile: Literal["sci-consumer", "ghgp-cat1", "afnor-2314"] = Field(
        default="sci-consumer",
        description="Which lines `gco2e` sums: operational and embodied; ghgp-cat1 and afnor-2314 add training and network.",
    )
    shadow: list[str] = Field(default=[], description="Methods that weigh each call too, to be compared, such as ecologits; never counted.")


class LiveIntensity(Section):
    """A live source of grid carbon intensity, asked in the background. Its figures stand beside the yearly ones, never in their place."""

    kind: IntensityKind = Field(
        description=(
            "energy-charts: Europe, lifecycle, with a forecast, no key; electricity-maps: most of the world, lifecycle, with a token; "
            "uk-neso: GB, direct, no key; france-odre: FR, direct, no key; watttime: marginal, shown apart, with user and token."
        )
    )
    zones: list[str] = Field(min_length=1, description="Grid zones to ask for, such as FR or SE-SE3; watttime: its own region names.")
    token: str | None = Field(default=None, repr=False, description="Token or password of the source; usually ${VAR} or file:/path.")
    user: str | None = Field(default=None, description="User name, for watttime.")
    interval_s: float | None = Field(
        default=None,
        ge=60,
        le=86_400,
        description="Seconds between two questions, where that is longer than the source's own period; null: as that.",
    )
    url: str | None = Field(default=None, repr=False, description="Base URL of a mirror; null: the source's own.")


class Intensity(Section):
    sources: list[LiveIntensity] = Field(default=[], description="Live sources, the preferred one first; empty: none is asked.")


class Settings(Section):
    """The whole configuration. `upstream` sends every unmatched model to one OpenAI-compatible base URL."""

    version: Literal[1] = Field(default=1, description="Version of this file's grammar.")
    server: Server = Field(default=Server(), description="Where the proxy listens, and what it accepts.")
    admin: Admin = Field(default=Admin(), description="A second address for operators.")
    auth: Literal["passthrough", "keys", "open"] | None = Field(
        default=None, description="Who may call; null: keys when keys are configured, else passthrough."
    )
    keys: list[Key] = Field(default=[], description="Keys of the callers, viewers and admins of this proxy.")
    upstream: str | None = Field(default=None, description="Default OpenAI-compatible base URL; null: https://api.openai.com/v1.")
    upstream_provider: str | None = Field(default=None, description="Provider id of `upstream`; null: told from its host, else unknown.")
    models: dict[str, Alias] = Field(
        default={}, description="Alias to deployments; `gpt-*` or `*` keep the caller's name. Empty: every model goes to `upstream`."
    )
    translate: list[Literal["anthropic", "gemini"]] = Field(
        default=[],
        description=(
            "Dialects in which models may be called whose provider does not speak them: LiteLLM, which translates, is then loaded at "
            "start. One that is not listed is translated too, after a wait of seconds at the first such call."
        ),
    )
    policies: list[Policy] = Field(
        default=[],
        description="Which calls go where, or are capped; here, or in a file beside this one: `policies: policies.yaml`. The first wins.",
    )
    tags: dict[str, list[str]] = Field(default={}, description="Declared tag values; they become metric labels.")
    metadata_tags: list[str] = Field(default=[], description="Keys of OpenAI `metadata` that are tags.")
    tagging: Tagging = Field(default=Tagging(), description="Where an answer carries its footprint.")
    ledger: Ledger = Field(default=Ledger(), description="Where and how surely calls are recorded.")
    weighing: Weighing = Field(default=Weighing(), description="Assumptions that every estimate shares.")
    intensity: Intensity = Field(default=Intensity(), description="Live carbon intensity of grids, beside the yearly figures.")
    user_hash_secret: str | None = Field(
        default=None, repr=False, description="Secret for the keyed hash of `user`; null: one is made and kept beside the ledger."
    )
    redis: str | None = Field(default=None, repr=False, description="redis:// URL; needed with several workers or replicas.")

    @property
    def auth_mode(self) -> Literal["passthrough", "keys", "open"]:
        """The mode in force."""
        return self.auth or ("keys" if self.keys else "passthrough")
