"""Who takes a path that is not metered, and whether this caller may send it there. It must never send anything."""

from starlette.types import Scope

from config.providers import Dialect
from proxy.call import Caller
from proxy.errors import Forbidden, NotFound
from proxy.late.making import Asked
from proxy.objects.paths import UNMETERED, Passing
from proxy.policy.candidates import Candidate
from proxy.policy.decide import may_use
from proxy.rooms import Rooms

VERSIONS = ("/v1/", "/v1beta/", "/v1alpha/", "/upload/v1")
"""How the paths begin that pass."""


def taker(rooms: Rooms, caller: Caller, meant: Passing, asked: Asked, path: str, dialect: Dialect, keeper: Candidate | None) -> Candidate:
    """Who takes the call: who keeps what it is about, else who takes what nobody else does.

    Raises Forbidden when this caller may not send it, or when nobody can be told to take it.
    """
    if caller.models is not None and (meant.kind == UNMETERED or (meant.making is not None and not may_use(caller, asked.alias))):
        raise Forbidden(f"key {caller.id!r} is bound to models, and {path[:80]} names none of them; use a metered endpoint.")
    if keeper is not None and (keeper.is_simulated or keeper.api_key is not None or caller.forwards_own_key):
        return keeper
    target = rooms.unmatched_of(dialect)
    if target is None and dialect != "openai":
        raise NotFound(f"{path[:80]} is not served here: no deployment speaks the {dialect} dialect; add one.", code="unknown_path")
    if target is None:
        raise Forbidden(f"{path[:80]} is not served here: several providers are configured and none is named `*`; add that alias.")
    if not caller.forwards_own_key and target.api_key is None and not target.is_simulated:
        raise Forbidden(f"{path[:80]} is not served here: provider {target.provider} has no api_key; add one to its deployment.")
    return target


def raw_path(scope: Scope) -> str:
    """The path as the caller wrote it. Raises NotFound when it does not stay below /v1."""
    raw = (scope.get("raw_path") or scope["path"].encode()).split(b"?", 1)[0].decode("latin-1")
    if not raw.startswith(VERSIONS) or any(part in (".", "..") for part in scope["path"].split("/")):
        raise NotFound(f"{raw[:80]!r} does not name a path below /v1; write it plainly.", code="unknown_path")
    return str(raw)
