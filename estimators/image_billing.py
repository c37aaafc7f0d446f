"""How many tokens a provider bills for one that a picture takes to compute. It must never touch a recorded count."""

import re
from functools import cache
from typing import NamedTuple

from config.catalogue import ModelCard
from config.factors import FactorSet
from estimators.physics_lines import inverse, log_sd

ROW = "vision.billed_per_token."
FAMILIES: tuple[tuple[str, str], ...] = (
    (r"gpt-4o-mini", "gpt_4o_mini"),
    (r"gpt-4\.1-mini", "gpt_4_1_mini"),
    (r"gpt-4\.1-nano", "gpt_4_1_nano"),
    (r"(o4|codex)-mini", "o4_mini"),
    (r"gpt-5-mini", "gpt_5_mini"),
    (r"gpt-5-nano", "gpt_5_nano"),
    (r"gpt-(5\.[2-9]|[6-9]|\d\d)", "gpt_5_2"),
)
"""In order: the first pattern that the card's id begins with names the factor row; others bill what they compute."""


class Billing(NamedTuple):
    """Billed tokens per token computed, and the doubt of that as a standard deviation of its logarithm."""

    ratio: float
    sd: float


AS_COMPUTED = Billing(1.0, 0.0)


def billing_of(card: ModelCard, factors: FactorSet) -> Billing:
    """How the card's model bills the tokens of pictures."""
    family = family_of(card.id)
    if family is None:
        return AS_COMPUTED
    row = factors[ROW + family]
    return Billing(row.value, log_sd(inverse(row.range)))


@cache
def family_of(card_id: str) -> str | None:
    """The end of the factor row's name; None for a model that bills what it computes."""
    return next((family for pattern, family in FAMILIES if re.match(pattern, card_id)), None)
