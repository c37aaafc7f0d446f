"""Furnishes the budgets of a configuration, and keeps their accounts when that changes. It must never open a way to Redis without need."""

from importlib.util import find_spec

from config.settings import Settings
from config.tables import Tables
from estimators import local
from estimators.choose import METHODS
from estimators.metered import METHOD, VERSION
from proxy.budgets.account import Accounts, MemoryAccounts
from proxy.budgets.history import Pin
from proxy.budgets.keeper import Budgets
from proxy.clock import Clock, uuid7
from proxy.errors import StartError
from proxy.ledger.budget_store import BudgetStore


def in_force(tables: Tables) -> Pin:
    """The methods and the factor set that this proxy weighs by."""
    methods = [f"{method.id}@{method.version}" for method in METHODS]
    return Pin(method=" ".join((*methods, f"{METHOD}@{VERSION}", f"{local.METHOD}@{local.VERSION}")), factor_set=tables.factors.stamp)


class Furnisher:
    """Accounts in this process's memory, or in Redis where one is configured; the same for all budgets to come."""

    def __init__(self, redis: str | None, store: BudgetStore, tables: Tables, clock: Clock) -> None:
        self._redis = redis
        self._store = store
        self._tables = tables
        self._clock = clock
        self._accounts: Accounts | None = None
        self._newest: Budgets | None = None

    def budgets(self, settings: Settings) -> Budgets | None:
        """The budgets in force; None where there are none. Raises StartError when Redis is to count and nothing here speaks to it."""
        if not settings.budgets:
            return None
        if self._accounts is None:
            self._accounts = self._open()
        pin = in_force(self._tables)
        self._newest = Budgets(settings.budgets, self._accounts, self._store, pin, self._clock, self._newest)
        return self._newest

    async def close(self) -> None:
        """Counts what waits, and gives back connections."""
        if self._accounts is not None:
            await self._accounts.close()

    def _open(self) -> Accounts:
        if self._redis is None:
            return MemoryAccounts()
        if find_spec("redis") is None:
            raise StartError(
                "`redis:` is set and budgets are to be counted there, but its package is missing: pip install 'grammage[redis]'"
            )
        from proxy.budgets.shared import RedisAccounts  # several processes only

        return RedisAccounts(self._redis, writer=uuid7(self._clock.now_ms()))
