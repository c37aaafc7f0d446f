"""A policy ready to be held against calls, and what a call says of itself. It must never act: it only says whether they belong together."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from config.deployment import Ability
from config.policies import Policy
from config.providers import Dialect
from estimators.usage import Usage
from proxy.call import Caller
from proxy.errors import BadRequest
from proxy.policy.candidates import Candidate
from proxy.policy.expression import Expression, Tell

OFF = "off"
REMEMBERED = 4096
HEADER = "x-grammage-policy"
NOTHING_MORE: frozenset[Ability] = frozenset()


def _nobody_listens(policy: str, reason: str) -> None:
    """Where nobody asked to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """What is known of a call before it is sent.

    usual: who would be tried without policies, in turn. usage: its forecast; choices: how many answers or pictures it asks for.
    path: which operation it is, as doors know it. is_bound: it refers to something that one provider keeps, so nobody else may serve it.
    asked: the caller's own word on policies, `off` or a name. shows, lets_hear: pictures or sound stand in it.
    stream: the answer is to come in parts. needs: what else a model must be able to do.
    """

    call_id: str
    alias: str
    operation: str
    weighed_as: str
    path: str
    dialect: Dialect
    caller: Caller
    tags: tuple[tuple[str, str], ...]
    usage: Usage
    usual: tuple[Candidate, ...]
    choices: int = 1
    is_bound: bool = False
    shows: bool = False
    lets_hear: bool = False
    asked: str | None = None
    stream: bool = False
    needs: frozenset[Ability] = NOTHING_MORE

    def told(self) -> dict[str, object]:
        """The call as conditions in CEL know it."""
        return {
            "alias": self.alias,
            "operation": self.operation,
            "dialect": self.dialect,
            "key": self.caller.id,
            "input_tokens": self.usage.input_tokens,
            "output_tokens": self.usage.output_tokens,
            "choices": self.choices,
            "stream": self.stream,
            "tags": dict(self.tags),
        }


class Rule:
    """One policy, its lists as sets. needs_pace, needs_hours: what holds at the moment bears on it: latencies, live intensities."""

    __slots__ = (
        "_aliases",
        "_most_input",
        "_operations",
        "_patterns",
        "_tags",
        "expression",
        "named",
        "needs_hours",
        "needs_pace",
        "policy",
    )

    def __init__(self, policy: Policy, tell: Tell = _nobody_listens) -> None:
        """tell: hears of a condition that cannot be told. Raises StartError for a condition that is none."""
        when = policy.when
        self.policy = policy
        self.named = policy.name
        self._aliases = None if when.alias is None else frozenset(name for name in when.alias if not name.endswith("*"))
        self._patterns = tuple(name[:-1] for name in when.alias or () if name.endswith("*"))
        self._operations = None if when.operation is None else frozenset(when.operation)
        self._tags = tuple((name, frozenset(values)) for name, values in when.tags.items())
        self._most_input = when.input_tokens_at_most
        self.expression = None if when.expr is None else Expression(when.expr, policy.name, tell)
        prefer = policy.prefer
        measures = () if prefer is None else (*(prefer.weights or {prefer.lowest: 1}), *(["latency"] if prefer.within_latency_ms else []))
        self.needs_pace = "latency" in measures
        self.needs_hours = prefer is not None and prefer.intensity == "hourly"

    def concerns(self, alias: str, operation: str) -> bool:
        """True when the policy is for calls of this alias and kind."""
        if self._aliases is not None and alias not in self._aliases and not alias.startswith(self._patterns):
            return False
        return self._operations is None or operation in self._operations

    def matches(self, alias: str, operation: str, tags: Mapping[str, str], input_tokens: int) -> bool:
        """True when the policy is for such a call."""
        if not self.concerns(alias, operation):
            return False
        if self._most_input is not None and input_tokens > self._most_input:
            return False
        return all(tags.get(name) in values for name, values in self._tags)

    def holds_back(self, call_id: str) -> bool:
        """True for the share of calls that is left as it is, drawn by the call's id, apart for each policy."""
        share = self.policy.holdback
        if not share:
            return False
        digest = blake2b(call_id.encode(), digest_size=8, key=self.named.encode()).digest()
        return int.from_bytes(digest, "big") / 2**64 < share


class Rules:
    """All policies in their order: those that act, and those that only watch."""

    __slots__ = ("_concerned", "_enforced", "_names", "_watching")

    def __init__(self, policies: Iterable[Policy], tell: Tell = _nobody_listens) -> None:
        """Those that are off are left out, but for their names. Raises StartError for a condition that is none."""
        rules = [Rule(policy, tell) for policy in policies]
        self._names = tuple(rule.named for rule in rules)
        self._enforced = tuple(rule for rule in rules if rule.policy.mode == "enforce")
        self._watching = tuple(rule for rule in rules if rule.policy.mode == "shadow")

        self._concerned: dict[tuple[str, str], bool] = {}

    def __bool__(self) -> bool:
        return bool(self._enforced or self._watching)

    def __iter__(self) -> Iterator[Rule]:
        """Those that are not off, the enforced ones first."""
        return iter((*self._enforced, *self._watching))

    def concern(self, alias: str, operation: str) -> bool:
        """False when no policy can be for such a call, whatever else it says; told at once for calls like those before."""
        known = self._concerned.get((alias, operation))
        if known is None:
            if len(self._concerned) >= REMEMBERED:
                self._concerned.clear()
            known = any(rule.concerns(alias, operation) for rule in (*self._enforced, *self._watching))
            self._concerned[alias, operation] = known
        return known

    def first(self, call: CallFacts) -> Rule | None:
        """The first enforced policy for the call, else the first that watches; the caller's word counts but for locked ones.

        Raises BadRequest (invalid_header) when the caller names a policy that does not exist.
        """
        asked = call.asked
        if asked is not None and asked != OFF and asked not in self._names:
            known = ", ".join(self._names[:20])
            raise BadRequest(
                f"{HEADER} names the policy {asked[:64]!r}, which does not exist; known: {known}. Name one of them, or send off.",
                code="invalid_header",
                param=HEADER,
            )
        tags = dict(call.tags)
        for rules in (self._enforced, self._watching):
            for rule in rules:
                if asked is not None and asked != rule.named and not rule.policy.locked:
                    continue
                if not rule.matches(call.alias, call.operation, tags, call.usage.input_tokens):
                    continue
                if rule.expression is None or rule.expression.holds(call.told()):
                    return rule
        return None
