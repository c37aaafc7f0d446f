"""Finished calls as the corridor hands them over, with figures that are easy to check by hand. It must never read a clock."""

from msgspec.structs import replace

from estimators.estimate import Estimate, QualityParts
from estimators.quantity import LogVariance, Quantity
from estimators.usage import Usage
from proxy.call import AttemptRecord, CallRecord

VARIANCE = LogVariance(method=0.04, provider=0.02, model=0.02, zone=0.01)
CALL_ID = "01980000-0000-7000-8000-000000000001"


def estimate(**changes: object) -> Estimate:
    """An estimate of 0.3 Wh and 0.12 g operational, 0.03 g embodied (medians)."""
    made = Estimate(
        method="tokens",
        method_version="1.0.0",
        factor_set="f00d",
        profile="sci-consumer",
        it_energy_wh=Quantity(0.25, VARIANCE),
        facility_energy_wh=Quantity(0.3, VARIANCE),
        gpu_seconds=Quantity(1.5, VARIANCE),
        operational_gco2e=Quantity(0.12, VARIANCE),
        embodied_gco2e=Quantity(0.03, VARIANCE),
        gco2e=Quantity(0.15, VARIANCE),
        water_ml=Quantity(1.2, VARIANCE),
        primary_energy_mj=Quantity(0.01, VARIANCE),
        adpe_kgsbeq=Quantity(1e-9, VARIANCE),
        market_based_gco2e=None,
        training_gco2e=None,
        network_gco2e=None,
        quality="D",
        quality_parts=QualityParts("A", "D", "D", "B"),
        gco2e_per_kwh=400.0,
        intensity_source="ember-2025",
        intensity_year=2024,
        zone="US",
    )
    return made._replace(**changes)  # type: ignore[arg-type]  # a test names fields that exist


def attempt(**changes: object) -> AttemptRecord:
    """An attempt at openai of 100 input tokens (20 cached) and 50 output tokens (10 reasoning)."""
    made = AttemptRecord(
        attempt_id="01980000-0000-7000-8000-000000000002",
        ordinal=0,
        provider="openai",
        model="gpt-4o-mini",
        served_model="gpt-4o-mini-2024-07-18",
        region=None,
        zone="US",
        place_assumed=True,
        simulated=False,
        status=200,
        outcome="ok",
        upstream_request_id="req_1",
        usage=Usage(input_tokens=100, cached_input_tokens=20, output_tokens=50, reasoning_output_tokens=10),
        estimate=estimate(),
        unweighed_reason=None,
        request_bytes=900,
        response_bytes=1000,
        latency_s=1.2,
    )
    return replace(made, **changes)


def call(**changes: object) -> CallRecord:
    """A streamed chat call of 1.25 s with one attempt."""
    made = CallRecord(
        call_id=CALL_ID,
        started_ms=1_790_000_000_000,
        operation="chat",
        path="/v1/chat/completions",
        alias="gpt-4o-mini",
        caller_id="team-a",
        tags=(("campaign", "noel-26"), ("asset", "sku-1")),
        user_hash=None,
        user_hash_key_id=None,
        status=200,
        outcome="ok",
        stream=True,
        stream_complete=True,
        latency_s=1.25,
        time_to_first_token_s=0.4,
        overhead_s=0.0008,
        policy="none",
        altered="",
        retry_count=0,
        idempotency_key_hash=None,
        attempts=(attempt(),),
    )
    return replace(made, **changes)
