"""Writes what a call weighed onto its answer: headers and usage.footprint. It must never change a figure of the provider's."""

from functools import lru_cache

from estimators.estimate import Estimate
from proxy.policy.candidates import Candidate
from proxy.upstream.base import Headers

_FIGURES = ("gco2e", "gco2e-low", "gco2e-high", "energy-wh", "basis", "quality", "method")
_SERVED = ("model", "region", "zone", "policy", "altered")
OUR_HEADERS = tuple(f"x-grammage-{name}" for name in ("call-id", *_FIGURES, *_SERVED))
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


def footprint_headers(estimate: Estimate, basis: bytes) -> Headers:
    """The figures: expected value with p5 and p95 in gCO2e, facility energy in Wh, tier, method; `basis` is final or forecast."""
    grams = estimate.gco2e
    return [
        (b"x-grammage-gco2e", plain(grams.mean).encode()),
        (b"x-grammage-gco2e-low", plain(grams.p5).encode()),
        (b"x-grammage-gco2e-high", plain(grams.p95).encode()),
        (b"x-grammage-energy-wh", plain(estimate.facility_energy_wh.mean).encode()),
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


def footprint_member(estimate: Estimate, call_id: str, compat: tuple[str, ...] = ()) -> bytes:
    """`"footprint": {...}` as JSON bytes, ready to be a member of `usage`; OpenGateLLM's `impacts` follows when asked for."""
    grams = estimate.gco2e
    energy_wh = estimate.facility_energy_wh.mean
    text = (
        f'"footprint":{{"gco2e":{plain(grams.mean)},"gco2e_low":{plain(grams.p5)},"gco2e_high":{plain(grams.p95)},'
        f'"energy_wh":{plain(energy_wh)},"operational_gco2e":{plain(estimate.operational_gco2e.mean)},'
        f'"embodied_gco2e":{plain(estimate.embodied_gco2e.mean)},"water_ml":{plain(estimate.water_ml.mean)},'
        f'"quality":"{estimate.quality}","method":"{estimate.method}@{estimate.method_version}","zone":"{estimate.zone}",'
        f'"call_id":"{call_id}"}}'
    )
    if "opengatellm" in compat:
        text += f',"impacts":{{"kWh":{plain(energy_wh / 1000)},"kgCO2eq":{plain(grams.mean / 1000)}}}'
    return text.encode()


@lru_cache(maxsize=64)
def _method(name: str, version: str) -> bytes:
    return f"{name}@{version}".encode()


def _safe(text: str) -> bytes:
    """A header value: one line, ASCII, at most 128 characters."""
    return text.translate(_NOT_HEADER_SAFE)[:128].encode("ascii", "replace")
