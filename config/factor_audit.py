"""Says what is wrong with a factor set. It must never call a row sound that a stranger could not look up."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Literal, NamedTuple

from config.factors import Factor

UNIT_WORDS = frozenset(
    {
        "pJ", "nJ", "J", "MJ", "Wh", "kWh", "W",
        "s", "second", "seconds", "h", "hours", "year", "years",
        "GB", "B", "L", "m",
        "gCO2e", "kgCO2e", "tCO2e", "kgSbeq", "USD", "EUR",
        "GPU", "server", "cores", "step", "steps", "layer", "block", "request", "requests", "output", "outputs", "call", "calls",
        "FLOP", "value", "values", "expert", "experts",
        "param", "params", "token", "tokens", "context", "word", "character", "characters",
        "image", "images", "pixel", "pixels", "megapixel", "frame", "frames", "video", "clip", "clips",
        "product", "products", "variants", "versions", "audiences", "sheet", "meals", "laptops", "return", "flights",
        "ln", "sqrt",
    }
)  # fmt: skip
"""Every word that a unit may be made of; numbers, powers and signs stand between them."""

NO_UNIT = "-"
LOOKED_UP = ("source", "url", "unit", "licence", "as_of")
Kind = Literal["problem", "warning"]


class Finding(NamedTuple):
    """One thing to say of a row; a problem fails the check, a warning does not."""

    factor_id: str
    kind: Kind
    message: str


def audit(factors: Mapping[str, Factor], described: str | None, stale_before: int) -> list[Finding]:
    """What is wrong with the rows, in their order.

    described: the page that must say what each row is for, None: not checked. stale_before: rows of earlier years are warned of.
    """
    found = []
    for factor in factors.values():
        found += [Finding(factor.id, "problem", problem) for problem in _problems(factor)]
        if described is not None and not is_described(factor.id, described):
            found.append(Finding(factor.id, "problem", "is not described in METHODS.md"))
        if factor.year < stale_before:
            found.append(Finding(factor.id, "warning", f"is of {factor.year}: look for a newer source"))
    return found


def is_described(factor_id: str, page: str) -> bool:
    """True when the page names the row, in full or by a pattern such as `gpu.<id>.memory_gb`, in which `<...>` stands for one word."""
    if f"`{factor_id}`" in page:
        return True
    return any(re.fullmatch(pattern, factor_id) for pattern in _patterns(page))


@cache
def _patterns(page: str) -> tuple[str, ...]:
    named = re.findall(r"`([a-z0-9_.<>-]*<[a-z_]+>[a-z0-9_.<>-]*)`", page)
    return tuple("[A-Za-z0-9_-]+".join(re.escape(part) for part in re.split(r"<[a-z_]+>", name)) for name in dict.fromkeys(named))


def unknown_words(unit: str) -> list[str]:
    """Words of a unit that are none of ours."""
    return [] if unit == NO_UNIT else [word for word in re.findall(r"[A-Za-z][A-Za-z0-9]*", _bare(unit)) if word not in UNIT_WORDS]


def _bare(unit: str) -> str:
    """The unit without numbers in powers of ten."""
    return re.sub(r"\b\d+e\d+\b", " ", unit)


def _problems(factor: Factor) -> list[str]:
    found = [f"has no {name}" for name in LOOKED_UP if not getattr(factor, name).strip()]
    if not factor.url.startswith("https://"):
        found.append(f"url {factor.url!r} is not an https address")
    if not factor.low <= factor.value <= factor.high:
        found.append(f"{factor.value:g} is not within {factor.low:g} to {factor.high:g}")
    strange = unknown_words(factor.unit)
    if strange:
        found.append(f"unit {factor.unit!r} is not known: {', '.join(strange)}")
    return found
