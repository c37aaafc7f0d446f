"""What the receiver of spans may be told and may not. It must never change a setting."""

from collections.abc import Iterator

from config.problem import Finding
from config.settings import Settings
from config.tag_rules import NAME_RULE, is_tag_name

_TAKEN = ("/metrics", "/livez", "/readyz", "/openapi.json")


def observe_faults(settings: Settings) -> Iterator[Finding]:
    """Faults of `observe`."""
    otlp = settings.observe.otlp
    if otlp is None:
        return
    if otlp.path in _TAKEN or otlp.path.startswith("/v1/footprint/"):
        yield Finding(path=("observe", "otlp", "path"), message=f"{otlp.path} is a path of the proxy's own; take another one")
    for name in otlp.tags:
        if not is_tag_name(name):
            yield Finding(path=("observe", "otlp", "tags", name), message=f"is no name of a tag; use {NAME_RULE}")
    kept = settings.ledger.retention.calls
    if kept is not None and otlp.oldest > kept:
        yield Finding(
            path=("observe", "otlp", "oldest"), message="is longer than ledger.retention.calls: calls that were taken out would come back"
        )
