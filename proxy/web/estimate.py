"""Forecasts what a call would weigh, before anything is spent. It must never call a provider or keep what it is sent."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from config.places import Place
from estimators import prepare
from estimators.estimate import Estimate
from estimators.usage import Usage
from proxy.endpoints.base import joined
from proxy.errors import BadRequest
from proxy.meter.fallback import BYTES_PER_TOKEN
from proxy.web.record import shown
from proxy.web.rooms import Deployed, WebRooms

MOST_TOKENS = 1_000_000_000


class EstimateRequest(BaseModel):
    """The body of POST /v1/footprint/estimate."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    model: str = Field(min_length=1, max_length=256, description="Alias or model name.")
    provider: str | None = Field(default=None, min_length=1, max_length=64, description="Provider id; null: the alias's first deployment.")
    region: str | None = Field(
        default=None, min_length=1, max_length=64, description="Cloud region; null: as configured, else the provider's default."
    )
    operation: Literal["chat", "completions", "embeddings"] = "chat"
    input_tokens: int | None = Field(default=None, ge=0, le=MOST_TOKENS, description="Input tokens, cached ones included.")
    cached_input_tokens: int = Field(default=0, ge=0, le=MOST_TOKENS, description="Part of input_tokens that the provider has cached.")
    output_tokens: int | None = Field(default=None, ge=0, le=MOST_TOKENS, description="Output tokens of one answer, reasoning included.")
    max_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS, description="Limit of one answer, when its length is not known.")
    messages: list[Any] | None = Field(default=None, description="Messages to count by their length alone; they are not kept.")
    n: int = Field(default=1, ge=1, le=128, description="Answers asked for.")


def read_request(body: bytes) -> EstimateRequest:
    """The request in `body`. Raises BadRequest: malformed_json, missing_model, missing_input, invalid_type."""
    try:
        asked = EstimateRequest.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error) from None
    if asked.input_tokens is None and asked.messages is None:
        raise BadRequest("neither input_tokens nor messages is given; add one of them.", code="missing_input", param="input_tokens")
    if asked.input_tokens is not None and asked.cached_input_tokens > asked.input_tokens:
        raise BadRequest(
            f"cached_input_tokens {asked.cached_input_tokens} exceed input_tokens {asked.input_tokens}, which include the cached ones.",
            code="invalid_type",
            param="cached_input_tokens",
        )
    return asked


def forecast(asked: EstimateRequest, rooms: WebRooms) -> dict[str, Any]:
    """The forecast as JSON members. Takes milliseconds: run it in a thread."""
    deployed = rooms.deployed(asked.model)
    place = _place(asked, deployed, rooms)
    match = rooms.tables.catalogue.resolve(deployed.weigh_as if deployed else asked.model)
    weighing = rooms.settings.weighing
    prepared = prepare(
        match.card,
        place,
        rooms.tables.factors,
        operation=asked.operation,
        operating_prior=weighing.operating_prior,
        profile=weighing.profile,
        match_warnings=match.warnings,
    )
    usage = _usage(asked, rooms)
    return _answer(asked, usage, place, prepared.estimate(usage))


def _answer(asked: EstimateRequest, usage: Usage, place: Place, estimate: Estimate) -> dict[str, Any]:
    return {
        "object": "footprint.estimate",
        "model": asked.model,
        **shown(estimate.gco2e, estimate.facility_energy_wh, estimate.operational_gco2e, estimate.embodied_gco2e, estimate.water_ml),
        "quality": estimate.quality,
        "quality_parts": estimate.quality_parts._asdict(),
        "method": f"{estimate.method}@{estimate.method_version}",
        "provider": place.provider,
        "region": place.region,
        "zone": estimate.zone,
        "place_assumed": place.assumed,
        "profile": estimate.profile,
        "factor_set": estimate.factor_set,
        "usage": {
            "input_tokens": usage.input_tokens,
            "cached_input_tokens": usage.cached_input_tokens,
            "output_tokens": usage.output_tokens,
            "source": usage.source,
        },
        "warnings": list(estimate.warnings),
    }


def _place(asked: EstimateRequest, deployed: Deployed | None, rooms: WebRooms) -> Place:
    if deployed is not None and asked.provider is None and asked.region is None:
        return deployed.place
    provider = asked.provider or (deployed.place.provider if deployed else "unknown")
    return rooms.tables.places.resolve(provider, region=asked.region)


def _usage(asked: EstimateRequest, rooms: WebRooms) -> Usage:
    """Counts before a call are a forecast, whoever states them."""
    counted = asked.input_tokens
    input_tokens = _tokens_by_length(asked.messages) if counted is None else counted
    return Usage(
        input_tokens=input_tokens,
        cached_input_tokens=min(asked.cached_input_tokens, input_tokens),
        output_tokens=_output_tokens(asked, rooms) * asked.n,
        source="estimated",
    )


def _tokens_by_length(messages: list[Any] | None) -> int:
    return max(1, len(joined(messages).encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def _output_tokens(asked: EstimateRequest, rooms: WebRooms) -> int:
    if asked.output_tokens is not None:
        return asked.output_tokens
    if asked.operation == "embeddings":
        return 0
    usual = rooms.usual_output_tokens(asked.model)
    return min(usual, asked.max_tokens) if asked.max_tokens else usual


def _refusal(error: ValidationError) -> BadRequest:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return BadRequest(f"the request body is not valid JSON: {first['msg']}; send a JSON object.", code="malformed_json")
    field = ".".join(str(part) for part in first["loc"])[:128]
    if first["type"] == "missing":
        return BadRequest('the request names no model; add "model": "<alias>".', code="missing_model", param="model")
    return BadRequest(
        f"{field or 'the request body'} is not right: {first['msg']}; see /openapi.json.", code="invalid_type", param=field or None
    )
