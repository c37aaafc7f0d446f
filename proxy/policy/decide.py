"""Picks who serves a call. It must never act: it returns a plan and the reasons."""

import math
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from config.providers import Dialect
from proxy.call import Caller
from proxy.errors import Forbidden, NotFound, Unauthorized
from proxy.policy.candidates import Candidate, Candidates
from proxy.policy.escalation import Escalation
from proxy.policy.verdict import Verdict

NO_POLICY = "none"
SHOWN_ALIASES = 12
_MAKE_NO_CALLS = {"viewer": "which reads reports", "observer": "which hands in calls made elsewhere"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The plan for one call: who is tried in which order, the policy that acted, and why others were passed over.

    verdict: what the policy said that was for the call, None where none was. escalation: what is done where the answer falls short.
    """

    attempts: tuple[Candidate, ...]
    policy: str = NO_POLICY
    altered: str = ""
    reasons: tuple[str, ...] = ()
    verdict: Verdict | None = None
    escalation: Escalation | None = None


def decide(
    alias: str, caller: Caller, candidates: Candidates, *, seed: str, asked_policy: str | None = None, dialect: Dialect = "openai"
) -> Decision:
    """The plan for `alias`: the candidates that the caller may spend, by order, shared out by weight within one; `seed` is the call's id.

    A caller's own provider key goes only to the provider it was meant for: that of the alias's first keyless deployment, if it speaks
    the caller's dialect where that is not OpenAI's.
    Raises NotFound (unknown_model), Forbidden (model_not_allowed), Unauthorized when no candidate has a key for this caller.
    """
    refuse_reader(caller)
    if not may_use(caller, alias):
        allowed = _shown(sorted(caller.models or ()))
        raise Forbidden(f"key {caller.id!r} may not use model {alias!r}; allowed: {allowed}.", code="model_not_allowed")
    row = candidates.of(alias, dialect)
    if not row:
        known = _shown(candidates.aliases)
        raise NotFound(
            f"model {alias!r} is not configured; known: {known}. Add it under models: or fix the name.", code="unknown_model", param="model"
        )
    policy = "off" if asked_policy == "off" else NO_POLICY
    if len(row) == 1 and ((caller.forwards_own_key and dialect == "openai") or row[0].has_credentials):
        return _to_one(row, policy)
    usable = tuple(candidate for candidate in row if _may_spend(candidate, row, caller, dialect))
    if not usable:
        raise Unauthorized(f"no deployment of {alias!r} has an api_key, and the caller's key is not a provider key; set api_key for it.")
    reasons = tuple(f"{c.provider}: no_key" for c in row if c not in usable)
    return Decision(attempts=in_turn(usable, seed), policy=policy, reasons=reasons)


@lru_cache(maxsize=4096)
def _to_one(row: tuple[Candidate, ...], policy: str) -> Decision:
    """The decision where there is nothing to decide; the same one for every call."""
    return Decision(attempts=row, policy=policy)


def in_turn(usable: tuple[Candidate, ...], seed: str) -> tuple[Candidate, ...]:
    """The candidates by order; within one, each is first with the chance that its weight gives it, and the rest likewise after it.

    Sampling without replacement by exponential draws (Efraimidis and Spirakis 2006): the same seed gives the same turn.
    """
    in_order = _in_order(usable)
    if in_order is not None:
        return in_order
    return tuple(sorted(usable, key=lambda each: (each.deployment.order, _draw(seed, usable.index(each), each.deployment.weight))))


@lru_cache(maxsize=4096)
def _in_order(usable: tuple[Candidate, ...]) -> tuple[Candidate, ...] | None:
    """The candidates by order where that leaves nothing to draw; None where two share one."""
    in_order = tuple(sorted(usable, key=lambda each: each.deployment.order))
    return in_order if len({each.deployment.order for each in usable}) == len(usable) else None


def _draw(seed: str, number: int, weight: float) -> float:
    """An exponential draw of rate `weight`: the smaller the earlier; weight 0 comes last."""
    if weight <= 0:
        return math.inf
    digest = blake2b(seed.encode(), digest_size=8, salt=number.to_bytes(8, "big")).digest()
    share = (int.from_bytes(digest, "big") + 0.5) / 2**64
    return -math.log(share) / weight


def refuse_reader(caller: Caller) -> None:
    """Raises Forbidden for a key that reads figures and spends nothing."""
    if caller.role in _MAKE_NO_CALLS:
        does = _MAKE_NO_CALLS[caller.role]
        raise Forbidden(f"key {caller.id!r} has the role {caller.role}, {does} and makes no calls; use a caller's key.")


def may_use(caller: Caller, alias: str) -> bool:
    """True when the key's list of models, if it has one, names `alias` or a pattern that it matches."""
    if caller.models is None or alias in caller.models:
        return True
    return any(name.endswith("*") and alias.startswith(name[:-1]) for name in caller.models)


def _may_spend(candidate: Candidate, row: tuple[Candidate, ...], caller: Caller, dialect: Dialect) -> bool:
    if candidate.has_credentials or candidate.is_simulated:
        return True
    if not caller.forwards_own_key or (dialect != "openai" and dialect not in candidate.bases):
        return candidate.provider in KEYLESS_PROVIDERS
    meant_for = next(other.provider for other in row if not other.has_credentials and not other.is_simulated)
    return candidate.provider == meant_for


KEYLESS_PROVIDERS = frozenset({"local", "ollama", "unknown"})
"""Self-hosted servers that usually ask for no key."""


def _shown(names: tuple[str, ...] | list[str]) -> str:
    head = ", ".join(names[:SHOWN_ALIASES]) or "none"
    return head + (f" and {len(names) - SHOWN_ALIASES} more" if len(names) > SHOWN_ALIASES else "")
