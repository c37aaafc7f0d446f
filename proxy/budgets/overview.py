"""Every budget in its period of now, for people: by the ledger, and by Redis where that counts. It must never seed one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from config.settings import Settings
from proxy.budgets.account import State
from proxy.budgets.history import read_account
from proxy.budgets.rule import Account, Rule
from proxy.budgets.span import instant
from proxy.ledger.budget_store import BudgetStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One budget. reserved_mg: by calls under way, None where nobody outside the proxy knows.

    drift_share: of what is used, what was counted by other methods or factors than the pinned ones; None before anything is pinned.
    """

    name: str
    match: str
    period: str
    begins: str
    ends: str | None
    limit_mg: int
    used_mg: int
    reserved_mg: int | None
    soft_at: float
    on_exceed: str
    state: str
    unweighed: int
    pinned_method: str | None
    pinned_factor_set: str | None
    drift_share: float | None


def overview(settings: Settings, store: BudgetStore, now_ms: int) -> tuple[list[Line], bool]:
    """The budgets, and whether Redis told of them. Blocks. Raises LedgerUnavailable."""
    pairs = [(rule, rule.account_at(now_ms)) for rule in map(Rule, settings.budgets)]
    told = asyncio.run(_ask(settings.redis, [account.key for _, account in pairs])) if settings.redis is not None else None
    states = told or [None] * len(pairs)
    return [_line(store, rule, account, state) for (rule, account), state in zip(pairs, states, strict=True)], told is not None


async def _ask(redis: str, keys: Sequence[str]) -> list[State | None] | None:
    """The accounts as Redis has them, None where it cannot be reached."""
    from proxy.budgets.shared import RedisAccounts  # where several processes count only

    accounts = RedisAccounts(redis, writer="")
    try:
        return [await accounts.look(0, key) for key in keys]
    except OSError:
        return None
    finally:
        await accounts.close()


def _line(store: BudgetStore, rule: Rule, account: Account, state: State | None) -> Line:
    budget, history = rule.budget, read_account(store, rule, account)
    used_mg = history.used_mg if state is None else state.used_mg
    spoken_mg = used_mg + (0 if state is None else state.reserved_mg)
    words = [f"{name}={'|'.join(values)}" for name, values in sorted(budget.match.items())]
    if budget.keys is not None:
        words.append(f"key={'|'.join(budget.keys)}")
    pin = history.pin
    return Line(
        name=rule.name,
        match=" ".join(words),
        period=budget.period,
        begins=instant(account.span.start_ms),
        ends=None if account.span.end_ms is None else instant(account.span.end_ms),
        limit_mg=rule.limit_mg,
        used_mg=used_mg,
        reserved_mg=None if state is None else state.reserved_mg,
        soft_at=budget.soft_at,
        on_exceed=budget.on_exceed,
        state="exceeded" if spoken_mg >= rule.limit_mg else "soft" if spoken_mg >= rule.soft_mg else "ok",
        unweighed=history.unweighed,
        pinned_method=None if pin is None else pin.method,
        pinned_factor_set=None if pin is None else pin.factor_set,
        drift_share=None if pin is None else (history.drift_mg / history.used_mg if history.used_mg else 0.0),
    )
