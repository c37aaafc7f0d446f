"""Cross-field rules of the settings: what each field allows alone but not together. It must never change a setting."""

import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from config.check_alternatives import alternative_faults
from config.check_budgets import budget_faults
from config.check_intensity import intensity_faults
from config.check_models import alias_faults
from config.check_observe import observe_faults
from config.check_policies import policy_faults
from config.check_tracing import tracing_faults
from config.deployment import Deployment, Meter
from config.explain import closest
from config.listen import is_loopback, parse_listen, points_at, url_fault
from config.problem import Finding, KeyPath, dotted
from config.settings import Settings
from config.tag_rules import NAME_RULE, VALUE_RULE, is_tag_name, is_tag_value

_RESERVED_VALUES = frozenset({"other", "unassigned"})
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_BASE_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REDIS_URLS = ("redis://", "rediss://")
_TAKEN_NAMES = ("import:", "observe:")
_LEDGER_URL = re.compile(r"sqlite(\+[a-z0-9]+)?:///(?!:memory:)[^?]+|postgresql(\+[a-z0-9]+)?://.+", re.DOTALL)


def find_faults(settings: Settings) -> tuple[Finding, ...]:
    """Everything in the settings that cannot work, whatever the command line says."""
    return tuple(finding for rule in _RULES for finding in rule(settings))


def start_refusals(settings: Settings) -> tuple[str, ...]:
    """Why a proxy must not start with these settings (after command-line options): one text per reason, none when it may."""
    faults = tuple(f"{dotted(finding.path)}: {finding.message}" for finding in find_faults(settings))
    return faults or tuple(
        text for text in (_exposed(settings), _lonely_workers(settings), _shared_meters(settings), *_loops(settings)) if text
    )


def matches(pattern: str, name: str) -> bool:
    """True when a caller's model name falls under an alias, which may end in `*`."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _exposed(settings: Settings) -> str | None:
    host, _ = parse_listen(settings.server.listen)
    holds_keys = any(deployment.has_credentials for _, deployment in _deployments(settings))
    if is_loopback(host) or not holds_keys or settings.keys or settings.auth in ("keys", "open"):
        return None
    return (
        f"server.listen is {settings.server.listen}, which others can reach, provider keys are configured and no caller keys are: "
        "anyone could spend them. Add `keys:`, write `auth: keys` and issue some with `grammage keys create`, listen on 127.0.0.1, "
        "or write `auth: open` if that is meant."
    )


def _lonely_workers(settings: Settings) -> str | None:
    """What several workers must count together, and cannot in the memory of each."""
    workers = settings.server.workers
    if workers <= 1 or settings.redis:
        return None
    counted = {
        "budgets": bool(settings.budgets),
        "rate limits of keys": any(key.requests_per_minute or key.tokens_per_minute for key in settings.keys),
        "answers kept for reuse": any(policy.mode != "off" and policy.apply.reuse is not None for policy in settings.policies),
    }
    named = [what for what, is_used in counted.items() if is_used]
    if not named:
        return None
    return f"{workers} workers need `redis:` to share {' and '.join(named)}. Set it, or start one worker (server.workers, --workers)."


def _shared_meters(settings: Settings) -> str | None:
    workers = settings.server.workers
    if workers <= 1 or not any(deployment.meter for _, deployment in _deployments(settings)):
        return None
    return (
        f"{workers} workers would each charge the whole of a `meter:` to the calls they see themselves. Start one worker, or leave it out."
    )


def _loops(settings: Settings) -> Iterator[str]:
    listen = parse_listen(settings.server.listen)
    targets: list[tuple[KeyPath, str]] = [(path, deployment.api_base) for path, deployment in _deployments(settings) if deployment.api_base]
    if settings.upstream:
        targets.append((("upstream",), settings.upstream))
    for path, url in targets:
        if points_at(url, listen):
            yield f"{path[0] if len(path) == 1 else path[1]} points at {url}, which is this proxy itself; name the provider's address."


def _server(settings: Settings) -> Iterator[Finding]:
    listens: list[tuple[KeyPath, str | None]] = [
        (("server", "listen"), settings.server.listen),
        (("admin", "listen"), settings.admin.listen),
    ]
    for path, text in listens:
        if text is None:
            continue
        try:
            parse_listen(text)
        except ValueError as error:
            yield Finding(path=path, message=str(error))
    if not _BASE_PATH.fullmatch(settings.server.base_path):
        yield Finding(path=("server", "base_path"), message="begins with `/` and does not end with it, such as /llm")
    if settings.admin.listen is not None and settings.admin.listen == settings.server.listen:
        yield Finding(path=("admin", "listen"), message="is the same as server.listen; choose another port, or leave it out")
    for index, origin in enumerate(settings.server.cors.origins):
        if origin != "*" and (url_fault(origin) or urlsplit(origin).path):
            yield Finding(
                path=("server", "cors", "origins", index), message="is an origin such as https://app.example.org, without a path, or `*`"
            )


def _upstream(settings: Settings) -> Iterator[Finding]:
    if settings.upstream is not None and (fault := url_fault(settings.upstream)):
        yield Finding(path=("upstream",), message=fault)


def _ledger(settings: Settings) -> Iterator[Finding]:
    if not _LEDGER_URL.fullmatch(settings.ledger.url):
        yield Finding(path=("ledger", "url"), message="must be a file, as sqlite:///grammage.db, or a server, as postgresql://")


def _redis(settings: Settings) -> Iterator[Finding]:
    if settings.redis is not None and not settings.redis.startswith(_REDIS_URLS):
        yield Finding(path=("redis",), message="must be an address of Redis, as redis://host:6379, or rediss:// with TLS")


def _keys(settings: Settings) -> Iterator[Finding]:
    names: dict[str, int] = {}
    secrets: dict[str, int] = {}
    for index, key in enumerate(settings.keys):
        if key.name in names:
            yield Finding(
                path=("keys", index, "name"), message=f"`{key.name}` is the name of keys[{names[key.name]}] too; names are unique"
            )
        if key.name.startswith(_TAKEN_NAMES):
            names_of_others = ", ".join(map(repr, _TAKEN_NAMES))
            yield Finding(path=("keys", index, "name"), message=f"may begin with none of {names_of_others}: calls from elsewhere do")
        if key.key in secrets:
            yield Finding(path=("keys", index, "key"), message=f"is the same secret as keys[{secrets[key.key]}]; each key needs its own")
        names.setdefault(key.name, index)
        secrets.setdefault(key.key, index)
        if key.brands is not None and key.role != "viewer":
            yield Finding(path=("keys", index, "brands"), message="bounds what a viewer sees; bind a caller with `tags: {brand: ...}`")
        yield from _tag_pairs(("keys", index, "tags"), key.tags)
        for place, alias in enumerate(key.models or ()):
            if settings.models and not any(matches(pattern, alias) or pattern == alias for pattern in settings.models):
                message = f"`{alias}` is no alias of `models:`{closest(alias, settings.models.keys())}"
                yield Finding(path=("keys", index, "models", place), message=message)


def _tags(settings: Settings) -> Iterator[Finding]:
    labels: dict[str, str] = {}
    for name, values in settings.tags.items():
        label = name.replace("-", "_")
        if label in labels:
            message = f"`{name}` and `{labels[label]}` would be the same metric label; rename one"
            yield Finding(path=("tags", name), message=message, at_key=True)
        labels.setdefault(label, name)
        yield from _tag_name(("tags", name), name)
        seen: set[str] = set()
        for index, value in enumerate(values):
            if value in seen:
                yield Finding(path=("tags", name, index), message=f"`{value}` is listed twice")
            if value in _RESERVED_VALUES:
                yield Finding(path=("tags", name, index), message=f"`{value}` is a word the metrics use themselves; choose another")
            yield from _tag_value(("tags", name, index), value)
            seen.add(value)
    for index, name in enumerate(settings.metadata_tags):
        yield from _tag_name(("metadata_tags", index), name)


def _tag_pairs(path: KeyPath, tags: Mapping[str, str]) -> Iterator[Finding]:
    for name, value in tags.items():
        yield from _tag_name((*path, name), name)
        yield from _tag_value((*path, name), value)


def _tag_name(path: KeyPath, name: str) -> Iterator[Finding]:
    if not is_tag_name(name):
        yield Finding(path=path, message=f"a tag's name is {NAME_RULE}", at_key=True)


def _tag_value(path: KeyPath, value: str) -> Iterator[Finding]:
    if not is_tag_value(value):
        yield Finding(path=path, message=f"a tag's value has {VALUE_RULE}")


def _aliases(settings: Settings) -> Iterator[Finding]:
    for name, alias in settings.models.items():
        if not name or _CONTROL.search(name) or "*" in name[:-1]:
            message = "an alias has no spaces, and `*` stands alone or at the end, such as `gpt-*`"
            yield Finding(path=("models", name), message=message, at_key=True)
        yield from alias_faults(name, alias)


def _deployments(settings: Settings) -> Iterator[tuple[KeyPath, Deployment]]:
    for name, alias in settings.models.items():
        for index, deployment in enumerate(alias.deployments):
            yield ("models", name, "deployments", index), deployment


def _meters(settings: Settings) -> Iterator[Finding]:
    for path, deployment in _deployments(settings):
        if deployment.meter is not None:
            yield from _meter_faults((*path, "meter"), deployment.meter)


def _meter_faults(path: KeyPath, meter: Meter) -> Iterator[Finding]:
    if fault := url_fault(meter.url):
        yield Finding(path=(*path, "url"), message=fault)
    asks_prometheus = meter.kind != "tensorrt-llm"
    if meter.kind == "query" and meter.query is None:
        yield Finding(path=(*path, "kind"), message="`query` needs `query:`, a PromQL counter in joules with one series per meter")
    elif meter.query is not None and not asks_prometheus:
        yield Finding(path=(*path, "query"), message="is for Prometheus; a TensorRT-LLM server has one counter: leave it out")
    elif asks_prometheus and meter.query is None and not meter.labels:
        message = "is needed: without labels every machine that Prometheus knows would be charged to this deployment"
        yield Finding(path=(*path, "labels"), message=message)
    if meter.kind == "query" and meter.boundary is None:
        yield Finding(path=(*path, "kind"), message="`query` needs `boundary:`: gpu, it or facility, whichever the figure contains")
    for name in meter.labels:
        if not _LABEL.fullmatch(name):
            yield Finding(path=(*path, "labels", name), message="is no label name of Prometheus: letters, digits and `_`", at_key=True)


_RULES: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _server,
    _upstream,
    _ledger,
    _redis,
    _keys,
    _tags,
    _aliases,
    _meters,
    intensity_faults,
    policy_faults,
    budget_faults,
    alternative_faults,
    tracing_faults,
    observe_faults,
)
