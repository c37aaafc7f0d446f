"""What the ledger says of an account: grams so far, and what its period is pinned to. It must never count what was weighed anew later."""

import math
from dataclasses import dataclass

import msgspec

from proxy.budgets.rule import MG_PER_G, Account, Rule
from proxy.budgets.span import instant
from proxy.ledger.budget_store import BudgetStore, Counted

UNKNOWN_MG = 1_000
"""What stands for a call that nothing is known of: 1 g, more than most calls for text weigh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What a period is counted by. method: id, or id@version, or several with spaces between. factor_set: a version, or a whole stamp."""

    method: str
    factor_set: str

    def holds(self, method: str, factor_set: str) -> bool:
        """True when an estimate was made by what is pinned."""
        methods = self.method.split()
        known = not methods or method in methods or method.partition("@")[0] in methods
        return known and self.factor_set in (factor_set, factor_set.partition("+")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """An account by the ledger. drift_mg: of `used_mg`, what was counted by other methods or factors than the pinned ones.

    unweighed: attempts that could not be weighed; each is counted as an average one.
    """

    used_mg: int
    drift_mg: int
    attempts: int
    unweighed: int
    pin: Pin | None


def pin_key(rule: Rule, account: Account) -> str:
    """Where the ledger keeps what a period is pinned to."""
    return f"budget {rule.name} {rule.budget.period} {instant(account.span.start_ms)}"


def open_account(store: BudgetStore, rule: Rule, account: Account, in_force: Pin) -> History:
    """The account, pinned now where it was not yet. Blocks. Raises LedgerUnavailable."""
    wanted = Pin(method=rule.budget.method or in_force.method, factor_set=rule.budget.factor_set or in_force.factor_set)
    kept = store.pin(pin_key(rule, account), msgspec.json.encode(wanted).decode())
    return _history(store, rule, account, msgspec.json.decode(kept, type=Pin))


def read_account(store: BudgetStore, rule: Rule, account: Account) -> History:
    """The account as it stands; nothing is kept. Blocks. Raises LedgerUnavailable."""
    kept = store.pinned(pin_key(rule, account))
    return _history(store, rule, account, None if kept is None else msgspec.json.decode(kept, type=Pin))


def _history(store: BudgetStore, rule: Rule, account: Account, pin: Pin | None) -> History:
    budget, span = rule.budget, account.span
    counted = Counted(since_ms=span.start_ms, until_ms=span.end_ms, tags=budget.match, keys=budget.keys)
    rows = store.sums(counted, "" if pin is None else pin.factor_set)
    weighed = [row for row in rows if row["gco2e"] is not None]
    drifted = [row for row in weighed if pin is not None and not pin.holds(str(row["method"]), str(row["factor_set"]))]
    unweighed = sum(int(str(row["unweighed"])) for row in rows)
    attempts = sum(int(str(row["attempts"])) for row in weighed)
    used_mg = MG_PER_G * math.fsum(float(str(row["gco2e"])) for row in weighed)
    unknown_mg = unweighed * (used_mg / attempts if attempts else UNKNOWN_MG)
    drift_mg = MG_PER_G * math.fsum(float(str(row["gco2e"])) for row in drifted)
    return History(used_mg=round(used_mg + unknown_mg), drift_mg=round(drift_mg), attempts=attempts, unweighed=unweighed, pin=pin)
