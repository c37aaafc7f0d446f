"""Picks who serves a call. It must never act: it returns a plan and the reasons."""

from dataclasses import dataclass
from functools import lru_cache

from proxy.call import Caller
from proxy.errors import Forbidden, NotFound, Unauthorized
from proxy.policy.candidates import Candidate, Candidates

NO_POLICY = "none"
SHOWN_ALIASES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The plan for one call: attempts in order, the policy that acted, and why others were passed over."""

    attempts: tuple[Candidate, ...]
    policy: str = NO_POLICY
    altered: str = ""
    reasons: tuple[str, ...] = ()


def decide(alias: str, caller: Caller, candidates: Candidates, *, asked_policy: str | None = None) -> Decision:
    """The plan for `alias`: its first candidate that the caller may spend.

    A caller's own provider key goes only to the provider it was meant for: that of the alias's first keyless deployment.
    Raises NotFound (unknown_model), Forbidden (model_not_allowed), Unauthorized when no candidate has a key for this caller.
    """
    refuse_reader(caller)
    if not may_use(caller, alias):
        allowed = _shown(sorted(caller.models or ()))
        raise Forbidden(f"key {caller.id!r} may not use model {alias!r}; allowed: {allowed}.", code="model_not_allowed")
    row = candidates.of(alias)
    if not row:
        known = _shown(candidates.aliases)
        raise NotFound(
            f"model {alias!r} is not configured; known: {known}. Add it under models: or fix the name.", code="unknown_model", param="model"
        )
    policy = "off" if asked_policy == "off" else NO_POLICY
    if len(row) == 1 and (caller.forwards_own_key or row[0].api_key is not None):
        return _to_one(row, policy)
    usable = tuple(candidate for candidate in row if _may_spend(candidate, row, caller))
    if not usable:
        raise Unauthorized(f"no deployment of {alias!r} has an api_key, and the caller's key is not a provider key; set api_key for it.")
    return Decision(attempts=usable[:1], policy=policy, reasons=tuple(f"{c.provider}: no_key" for c in row if c not in usable))


@lru_cache(maxsize=4096)
def _to_one(row: tuple[Candidate, ...], policy: str) -> Decision:
    """The decision where there is nothing to decide; the same one for every call."""
    return Decision(attempts=row, policy=policy)


def refuse_reader(caller: Caller) -> None:
    """Raises Forbidden for a key that reads figures and spends nothing."""
    if caller.role == "viewer":
        raise Forbidden(f"key {caller.id!r} has the role viewer, which reads reports and makes no calls; use a caller's key.")


def may_use(caller: Caller, alias: str) -> bool:
    """True when the key's list of models, if it has one, names `alias` or a pattern that it matches."""
    if caller.models is None or alias in caller.models:
        return True
    return any(name.endswith("*") and alias.startswith(name[:-1]) for name in caller.models)


def _may_spend(candidate: Candidate, row: tuple[Candidate, ...], caller: Caller) -> bool:
    if candidate.api_key is not None or candidate.is_simulated:
        return True
    if not caller.forwards_own_key:
        return candidate.provider in KEYLESS_PROVIDERS
    meant_for = next(other.provider for other in row if other.api_key is None and not other.is_simulated)
    return candidate.provider == meant_for


KEYLESS_PROVIDERS = frozenset({"local", "ollama", "unknown"})
"""Self-hosted servers that usually ask for no key."""


def _shown(names: tuple[str, ...] | list[str]) -> str:
    head = ", ".join(names[:SHOWN_ALIASES]) or "none"
    return head + (f" and {len(names) - SHOWN_ALIASES} more" if len(names) > SHOWN_ALIASES else "")
