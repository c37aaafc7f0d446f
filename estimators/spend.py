"""Weighs a service by what was paid for it, where nothing else is known. It must never pass for more than an order of magnitude."""

from dataclasses import dataclass

from config.factors import FactorSet
from estimators.estimate import Tier
from estimators.physics_lines import GRAMS_PER_KG, average
from estimators.quantity import Quantity, scale

METHOD = "spend"
VERSION = "1.0.0"
PROFILE = "ghgp-cat1"
"""Factors of whole economies hold a purchased service from cradle to gate: the category of the GHG Protocol that this is named after."""

QUALITY: Tier = "E"
DEFAULT_CATEGORY = "it_services"
BY_MONEY = "spend-based"
WARNINGS = (BY_MONEY, "boundary-of-whole-economy", "energy-unknown", "grid-not-used")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """Money for a service without tax, > 0, in `currency` (ISO 4217); category: the kind of service that the factor is of."""

    amount: float
    currency: str
    category: str = DEFAULT_CATEGORY


def factor_id(category: str, currency: str) -> str:
    """The factor row that weighs such money."""
    return f"spend.{category}.kgco2e_per_{currency.lower()}"


def currencies(category: str, factors: FactorSet) -> tuple[str, ...]:
    """Currencies of which there is a factor for the category."""
    start = factor_id(category, "")
    return tuple(sorted(row.removeprefix(start).upper() for row in factors if row.startswith(start)))


def categories(factors: FactorSet) -> tuple[str, ...]:
    """Kinds of services that can be weighed by money."""
    return tuple(sorted({row.split(".")[1] for row in factors if row.startswith("spend.")}))


def spend_gco2e(spend: Spend, factors: FactorSet) -> Quantity:
    """gCO2e of the money: its whole doubt is the method's, common to everything that is weighed so.

    Raises ValueError for an amount that is not above 0, and for money of which there is no factor. Source: METHODS.md, section on money.
    """
    if not 0 < spend.amount < float("inf"):
        raise ValueError(f"an amount of money is a number above 0, got {spend.amount}")
    row = factors.get(factor_id(spend.category, spend.currency))
    if row is None:
        known = ", ".join(currencies(spend.category, factors))
        if not known:
            raise ValueError(f"no factor is known for services of kind {spend.category!r}; known: {', '.join(categories(factors))}")
        raise ValueError(f"no factor is known for {spend.currency}; known: {known}; state a rate, such as --rate {spend.currency}=0.9EUR")
    return scale(average(row.range, "method"), spend.amount * GRAMS_PER_KG)
