"""What a caller asks to know or to bound before a call: a dry run, a limit in grams. It must never send anything upstream."""

import msgspec

from estimators.estimate import Estimate
from proxy.budgets.told import shown
from proxy.errors import BadRequest, CarbonLimitExceeded
from proxy.headers import DRY_RUN, LIMIT
from proxy.passage import Passage
from proxy.policy.candidates import Candidate
from proxy.policy.verdict import Verdict
from proxy.rooms import Rooms
from proxy.settle import prepared_for
from proxy.tag import figures_of, plain


def is_asked(passage: Passage) -> bool:
    """True when the caller asks for a dry run or sets a limit."""
    return DRY_RUN in passage.known or LIMIT in passage.known


async def foresee(rooms: Rooms, passage: Passage) -> bytes | None:
    """The JSON answer of a dry run, None when the call is to go on.

    Raises CarbonLimitExceeded when the forecast is above the caller's limit, BadRequest (invalid_header) for a limit that is no number.
    """
    known = passage.known
    limit_gco2e = limit_of(known.get(LIMIT))
    prepared = await prepared_for(rooms, passage)
    forecast = None if prepared is None else rooms.scales.forecast(prepared, passage.ask, passage.tags)
    if limit_gco2e is not None and forecast is not None and forecast.gco2e.mean > limit_gco2e:
        raise CarbonLimitExceeded(
            f"the call is forecast at {plain(forecast.gco2e.mean)} gCO2e, above the limit of {plain(limit_gco2e)} in {LIMIT.decode()}; "
            "ask for less, name a smaller model, or raise the limit."
        )
    return _dry_run(passage, forecast, _alternative(rooms, passage)) if _is_on(known.get(DRY_RUN)) else None


def limit_of(value: bytes | None) -> float | None:
    """The caller's own limit in grams, None without one. Raises BadRequest (invalid_header) for one that is no number."""
    if value is None:
        return None
    try:
        grams = float(value)
    except ValueError:
        grams = -1.0
    if not 0 <= grams < float("inf"):
        shown = value[:20].decode("latin-1")
        raise BadRequest(f"{LIMIT.decode()} must be a number of grams >= 0, got {shown!r}.", code="invalid_header", param=LIMIT.decode())
    return grams


def _is_on(value: bytes | None) -> bool:
    if value is None or value.lower() in (b"false", b"0", b"off"):
        return False
    if value.lower() in (b"true", b"1", b"on"):
        return True
    shown = value[:20].decode("latin-1")
    raise BadRequest(f"{DRY_RUN.decode()} must be true or false, got {shown!r}.", code="invalid_header", param=DRY_RUN.decode())


def _alternative(rooms: Rooms, passage: Passage) -> dict[str, str] | None:
    """The way without a model that the policy knows, whether it is offered or runs; None where it knows none."""
    verdict = passage.decision.verdict
    asked = rooms.worth.by_policy.get(verdict.policy) if rooms.worth is not None and verdict is not None else None
    if asked is None or asked.offer is None:
        return None
    return {"kind": asked.offer.kind, "ref": asked.offer.ref, "mode": "run" if asked.offer.runs else "offer"}


def _dry_run(passage: Passage, forecast: Estimate | None, alternative: dict[str, str] | None) -> bytes:
    candidate, decision = passage.candidate, passage.decision
    weights = None
    if forecast is not None:
        figures = figures_of(forecast)
        weights = {
            "gco2e": float(figures.gco2e),
            "gco2e_low": float(figures.low),
            "gco2e_high": float(figures.high),
            "energy_wh": float(figures.energy_wh),
            "quality": forecast.quality,
            "method": f"{forecast.method}@{forecast.method_version}",
        }
    decided = {
        **_placed(candidate, passage),
        "policy": decision.policy,
        "reasons": decision.reasons,
        "altered": decision.altered.split(",") if decision.altered else [],
        "verdict": None if decision.verdict is None else _said(decision.verdict, passage),
        "alternative": alternative,
        "budgets": shown(passage.holding),
        "plan": [_placed(each, passage) for each in decision.attempts],
    }
    return msgspec.json.encode({"object": "footprint.dry_run", "alias": passage.ask.alias, "decision": decided, "forecast": weights})


def _said(verdict: Verdict, passage: Passage) -> dict[str, object]:
    """What the policy that is for the call makes of it."""
    return {
        "policy": verdict.policy,
        "mode": verdict.mode,
        "action": verdict.action,
        "reason": verdict.reason or None,
        "baseline": _placed(verdict.baseline.option.candidate, passage),
        "choice": None if verdict.choice is None else _placed(verdict.choice.option.candidate, passage),
    }


def _placed(candidate: Candidate, passage: Passage) -> dict[str, str | bool | None]:
    """Who would be asked, for what and where."""
    return {
        "provider": candidate.provider,
        "model": candidate.name_of(passage.ask.alias),
        "region": candidate.place.region,
        "zone": candidate.place.zone,
        "place_assumed": candidate.place.assumed,
    }
