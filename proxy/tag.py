"""Writes what a call weighed onto its answer: headers and usage.footprint. It must never change a figure of the provider's."""

from functools import lru_cache
from typing import NamedTuple

from estimators.estimate import Estimate
from proxy.call import InsteadRecord
from proxy.policy.candidates import Candidate
from proxy.upstream.base import Headers

_FIGURES = ("gco2e", "gco2e-low", "gco2e-high", "energy-wh", "basis", "quality", "method")
_SERVED = ("model", "region", "zone", "policy", "altered", "escalated", "alternative", "iterations", "budget")
_INSTEAD = ("reused",)
OUR_HEADERS = tuple(f"x-grammage-{name}" for name in ("call-id", *_FIGURES, *_SERVED, *_INSTEAD))
"""Every header that an answer may carry of ours."""

_NOT_HEADER_SAFE = dict.fromkeys((*range(32), 127), "?")


def plain(number: float) -> str:
    """4 significant digits as a plain decimal, never in exponent form: 0.00001234, 1234, 0."""
    text = f"{number:.4g}"
    if "e" not in text:
        return text
    if number >= 1:
        return f"{float(text):.0f}"
    exponent = int(text[text.index("e") + 1 :])
    return f"{number:.{3 - exponent}f}".rstrip("0").rstrip(".")


def call_header(call_id: str) -> tuple[bytes, bytes]:
    """The header that every answer of a metered endpoint carries."""
    return (b"x-grammage-call-id", call_id.encode())


def escalated_header(shortcoming: str) -> tuple[bytes, bytes]:
    """Why a larger model was asked; `failed:` before it where that one did not answer, and the first answer stands."""
    return (b"x-grammage-escalated", shortcoming.encode())


class Figures(NamedTuple):
    """What is written of an estimate, as plain decimals: gCO2e expected, p5, p95, and facility energy in Wh."""

    gco2e: str
    low: str
    high: str
    energy_wh: str


NOTHING = Figures("0", "0", "0", "0")
"""What an answer weighs for which nothing was generated: known, not unknown."""


def figures_of(estimate: Estimate) -> Figures:
    """The figures of `estimate`, worked out once for headers and body."""
    mean, p5, p95 = estimate.gco2e.spread()
    return Figures(plain(mean), plain(p5), plain(p95), plain(estimate.facility_energy_wh.mean))


def footprint_headers(estimate: Estimate, figures: Figures, basis: bytes) -> Headers:
    """The figures: expected value with p5 and p95 in gCO2e, facility energy in Wh, tier, method; `basis` is final or forecast."""
    return [
        (b"x-grammage-gco2e", figures.gco2e.encode()),
        (b"x-grammage-gco2e-low", figures.low.encode()),
        (b"x-grammage-gco2e-high", figures.high.encode()),
        (b"x-grammage-energy-wh", figures.energy_wh.encode()),
        (b"x-grammage-basis", basis),
        (b"x-grammage-quality", estimate.quality.encode()),
        (b"x-grammage-method", _method(estimate.method, estimate.method_version)),
    ]


@lru_cache(maxsize=4096)
def deployment_headers(
    candidate: Candidate, model: str, model_is_assumed: bool, policy: str, altered: str
) -> tuple[tuple[bytes, bytes], ...]:
    """Who served it and where; `assumed:` marks what the provider does not say."""
    place = candidate.place
    guess = "assumed:" if place.assumed else ""
    rows = [
        (b"x-grammage-model", _safe(("assumed:" if model_is_assumed else "") + model)),
        (b"x-grammage-region", _safe(guess + (place.region or "unknown"))),
        (b"x-grammage-zone", _safe(guess + place.zone)),
        (b"x-grammage-policy", _safe(policy)),
    ]
    if altered:
        rows.append((b"x-grammage-altered", _safe(altered)))
    return tuple(rows)


def footprint_member(estimate: Estimate, figures: Figures, call_id: str, compat: tuple[str, ...] = ()) -> bytes:
    """`"footprint": {...}` as JSON bytes, ready to be a member of `usage`; OpenGateLLM's `impacts` follows when asked for."""
    text = (
        f'"footprint":{{"gco2e":{figures.gco2e},"gco2e_low":{figures.low},"gco2e_high":{figures.high},'
        f'"energy_wh":{figures.energy_wh},"operational_gco2e":{plain(estimate.operational_gco2e.mean)},'
        f'"embodied_gco2e":{plain(estimate.embodied_gco2e.mean)},"water_ml":{plain(estimate.water_ml.mean)},'
        f'"quality":"{estimate.quality}","method":"{estimate.method}@{estimate.method_version}","zone":"{estimate.zone}",'
        f'"call_id":"{call_id}"}}'
    )
    if "opengatellm" in compat:
        kwh, kg = estimate.facility_energy_wh.mean / 1000, estimate.gco2e.mean / 1000
        text += f',"impacts":{{"kWh":{plain(kwh)},"kgCO2eq":{plain(kg)}}}'
    return text.encode()


def reused_headers(instead: InsteadRecord, before: Estimate | None, policy: str, altered: str) -> Headers:
    """What a call weighs whose answer was made for another one: what was tried `before`, if anything, and nothing else."""
    figures = NOTHING if before is None else figures_of(before)
    rows = [
        (b"x-grammage-gco2e", figures.gco2e.encode()),
        (b"x-grammage-gco2e-low", figures.low.encode()),
        (b"x-grammage-gco2e-high", figures.high.encode()),
        (b"x-grammage-energy-wh", figures.energy_wh.encode()),
        (b"x-grammage-basis", b"final"),
        (b"x-grammage-reused", _safe(instead.source_call_id or "unknown")),
        (b"x-grammage-policy", _safe(policy)),
    ]
    return [*rows, (b"x-grammage-altered", _safe(altered))] if altered else rows


def reused_member(instead: InsteadRecord, before: Estimate | None, call_id: str, compat: tuple[str, ...] = ()) -> bytes:
    """As `footprint_member`, for such an answer: the usage around it is that of the call which it was made for."""
    figures = NOTHING if before is None else figures_of(before)
    text = (
        f'"footprint":{{"gco2e":{figures.gco2e},"gco2e_low":{figures.low},"gco2e_high":{figures.high},"energy_wh":{figures.energy_wh},'
        f'"instead":"{instead.kind}","reused_from":"{instead.source_call_id or "unknown"}","call_id":"{call_id}"}}'
    )
    if "opengatellm" in compat:
        kwh, kg = (0.0, 0.0) if before is None else (before.facility_energy_wh.mean / 1000, before.gco2e.mean / 1000)
        text += f',"impacts":{{"kWh":{plain(kwh)},"kgCO2eq":{plain(kg)}}}'
    return text.encode()


@lru_cache(maxsize=64)
def _method(name: str, version: str) -> bytes:
    return f"{name}@{version}".encode()


def _safe(text: str) -> bytes:
    """A header value: one line, ASCII, at most 128 characters."""
    return text.translate(_NOT_HEADER_SAFE)[:128].encode("ascii", "replace")
