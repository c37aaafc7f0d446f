"""Every setting with its type, default and meaning, as the YAML file holds them. It must never read a file or the environment."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BeforeValidator, Field

from config.alternatives import Alternative
from config.budgets import Budget
from config.deployment import Alias, OperatingPrior
from config.duration import Keeping
from config.observe import Observe
from config.policies import Policy
from config.section import Section
from config.telemetry import Log, Tracing

TAG_NAMES = ("brand", "campaign", "tool", "asset", "stage", "audience", "market", "purpose")


MethodName = Literal[
    "metered", "disclosed", "images", "image_tokens", "video", "audio", "embeddings", "moderation", "training", "tokens", "ecologits"
]  # fmt: skip
"""Methods that may report; each is a file of estimators/methods, but for `metered`."""


IntensityKind = Literal["energy-charts", "uk-neso", "france-odre", "electricity-maps", "watttime"]
"""Live sources; each is a file of proxy/intensity."""


class Cors(Section):
    origins: list[str] = Field(default=[], description="Origins that browsers may call from; empty: CORS is off.")


class Limits(Section):
    json_body_mb: float = Field(default=64, gt=0, description="Largest JSON body of a metered endpoint, MiB.")
    upload_mb: float = Field(default=1024, gt=0, description="Largest body of any other request, MiB.")
    header_kb: float = Field(default=64, gt=0, description="Largest sum of request header bytes, KiB.")


class Host(Section):
    """The machine that the proxy runs on, for its own weight; what is not said is the world's average, with its wide range."""

    provider: str = Field(default="local", min_length=1, description="Whose machine it is, such as aws; local: one's own.")
    region: str | None = Field(default=None, description="Region of that provider, such as eu-west-3; the zone is `server.zone`.")
    pue: float | None = Field(default=None, ge=1, le=5, description="Energy of the building over that of its machines; null: usual.")
    watts_per_core: float | None = Field(
        default=None, gt=0, le=1000, description="Watts of a busy core with its share of the server, as measured; null: assumed."
    )
    reserved_cores: float | None = Field(
        default=None,
        gt=0,
        le=4096,
        description="Cores kept for one process of the proxy alone, which count while they idle too; null: it shares its machine.",
    )
    sample_s: float = Field(default=60, ge=1, le=3600, description="Seconds between two looks at what the proxy uses; a crash loses one.")


class Server(Section):
    listen: str = Field(default="127.0.0.1:8080", description="host:port to listen on.")
    base_path: str = Field(default="", description="Path prefix in front of /v1, such as /llm.")
    cors: Cors = Field(default=Cors(), description="Browser access from other origins.")
    limits: Limits = Field(default=Limits(), description="Largest requests that are accepted.")
    drain_s: float = Field(default=120, ge=0, description="Seconds that open streams get to finish after SIGTERM.")
    workers: int = Field(default=1, ge=1, le=64, description="Processes that serve the address together; more than one needs a restart.")
    zone: str | None = Field(default=None, description="Grid zone of this machine, such as FR, for what it makes; null: world average.")
    host: Host = Field(default=Host(), description="The machine of the proxy, for the proxy's own weight.")


class Admin(Section):
    listen: str | None = Field(default=None, description="Separate host:port for /metrics and reports; open to who can reach it.")


def _to_its_end(text: object) -> object:
    """A day means its end."""
    return f"{text}T23:59:59.999Z" if isinstance(text, str) and len(text) == len("2027-01-31") else text


Expiry = Annotated[AwareDatetime, BeforeValidator(_to_its_end)]


class Key(Section):
    key: str = Field(min_length=8, repr=False, description="The secret a caller presents; usually ${VAR} or file:/path.")
    name: str = Field(min_length=1, max_length=64, description="What records and reports call this key; unique.")
    role: Literal["caller", "viewer", "observer", "admin"] = Field(
        default="caller", description="viewer: reports only; observer: hands in calls made elsewhere; admin: everything."
    )
    tags: dict[str, str] = Field(default={}, description="Tags bound to the key; callers cannot override them.")
    models: list[str] | None = Field(default=None, description="Aliases the key may use; null: all.")
    brands: list[str] | None = Field(default=None, description="Values of the tag `brand` whose figures a viewer sees; null: all.")
    expires: Expiry | None = Field(default=None, description="Last day, such as 2027-01-31 (UTC), or an instant; null: never.")
    requests_per_minute: int | None = Field(default=None, ge=1, description="Most calls in a minute; null: no limit.")
    tokens_per_minute: int | None = Field(default=None, ge=1, description="Most tokens in a minute, in and out; null: no limit.")


class Tagging(Section):
    headers: bool = Field(default=True, description="Add x-grammage-* response headers.")
    body: bool = Field(default=True, description="Add usage.footprint to replies that carry usage.")
    compat: list[Literal["opengatellm"]] = Field(default=[], description="Further shapes to write, such as usage.impacts.")


class Retention(Section):
    """How long the ledger keeps what; sums by hour and day are kept for ever."""

    calls: Keeping | None = Field(
        default=None,
        description=(
            "Calls older than this are taken out once their sums are made, such as 400d; null: never. No shorter than a budget's period."
        ),
    )


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
    retention: Retention = Field(default=Retention(), description="How long calls are kept.")
    rollup_every_s: float | None = Field(
        default=60,
        ge=1,
        le=86_400,
        description="Seconds between two sums of hours and days, for reports; null: by `grammage db rollup` only.",
    )


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


class Campaign(Section):
    """What its owners say of a campaign."""

    purpose: str | None = Field(default=None, max_length=500, description="What it is for, in a sentence.")
    brand: str | None = Field(default=None, description="The brand it belongs to.")


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
    budgets: list[Budget] = Field(default=[], description="Carbon budgets, here or in the file of policies; all that match count.")
    alternatives: dict[str, Alternative] = Field(default={}, description="Ways to do without a model, here or in the file of policies.")
    campaigns: dict[str, Campaign] = Field(default={}, description="What campaigns are for, by their tag's value; shown in reports.")
    tags: dict[str, list[str]] = Field(default={}, description="Declared tag values; they become metric labels.")
    metadata_tags: list[str] = Field(default=[], description="Keys of OpenAI `metadata` that are tags.")
    tagging: Tagging = Field(default=Tagging(), description="Where an answer carries its footprint.")
    ledger: Ledger = Field(default=Ledger(), description="Where and how surely calls are recorded.")
    weighing: Weighing = Field(default=Weighing(), description="Assumptions that every estimate shares.")
    tracing: Tracing | None = Field(default=None, description="Spans of calls for a tracing backend, by OpenTelemetry; null: none.")
    observe: Observe = Field(default=Observe(), description="Calls that never came through the proxy, taken in from telemetry.")
    log: Log = Field(default=Log(), description="What the proxy writes to standard error.")
    intensity: Intensity = Field(default=Intensity(), description="Live carbon intensity of grids, beside the yearly figures.")
    user_hash_secret: str | None = Field(
        default=None, repr=False, description="Secret for the keyed hash of `user`; null: one is made and kept beside the ledger."
    )
    redis: str | None = Field(default=None, repr=False, description="redis:// URL; needed with several workers or replicas.")

    @property
    def auth_mode(self) -> Literal["passthrough", "keys", "open"]:
        """The mode in force."""
        return self.auth or ("keys" if self.keys else "passthrough")
