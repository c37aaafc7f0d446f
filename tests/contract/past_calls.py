"""Calls of a ledger, weighed as the proxy weighs them, for the tests of what is past. It must never round a figure."""

from typing import Any

from msgspec.structs import replace

from config.settings import Settings
from config.tables import Tables
from estimators.usage import Usage
from proxy.call import CallRecord, DecisionRecord
from proxy.policy.candidates import candidates_from
from proxy.weigh import Scales, WeighingRules
from tests.contract.ledgers import record
from tests.sample_records import attempt

MODELS: dict[str, Any] = {
    "large": {"quality": 0.9, "deployments": [{"provider": "azure", "model": "gpt-4o", "region": "eastus", "api_key": "k"}]},
    "small": {"quality": 0.7, "deployments": [{"provider": "azure", "model": "gpt-4o-mini", "region": "swedencentral", "api_key": "k"}]},
}
for _alias in MODELS.values():
    for _deployment in _alias["deployments"]:
        _deployment["api_base"] = "https://studio.example/v1"
DRAFTS: dict[str, Any] = {
    "name": "drafts",
    "when": {"alias": "large", "tags": {"stage": "draft"}},
    "prefer": {"among": ["small"]},
    "apply": {"max_output_tokens": 400},
    "mode": "enforce",
}


def settings_of(*policies: dict[str, Any], **sections: object) -> Settings:
    """A large model in the east of the USA and a small one in Sweden, under the policies."""
    return Settings.model_validate({"models": MODELS, "policies": list(policies), "auth": "open"} | sections)


class Weigher:
    """Makes records whose figures are the proxy's own."""

    def __init__(self, settings: Settings, tables: Tables) -> None:
        weighing = settings.weighing
        self._candidates = candidates_from(settings, tables.places)
        self._scales = Scales(tables, WeighingRules(operating_prior=weighing.operating_prior, profile=weighing.profile))

    def call(
        self, number: int, alias: str = "large", *, input_tokens: int = 500, output_tokens: int = 300, **changes: object
    ) -> CallRecord:
        """A chat call of `alias` served by its first deployment; changes of the record by name."""
        candidate = self._candidates.of(alias)[0]
        model = candidate.name_of(alias)
        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        estimate = self._scales.prepare(candidate, model, "chat").estimate(usage, network_bytes=1900)
        place = candidate.place
        made = record(number)
        served = attempt(
            attempt_id=made.attempts[0].attempt_id,
            provider=candidate.provider,
            model=model,
            served_model=model,
            region=place.region,
            zone=place.zone,
            place_assumed=place.assumed,
            usage=usage,
            estimate=estimate,
        )
        own = {"alias": alias, "attempts": (served,), "tags": (("campaign", "noel"), ("stage", "draft"))}
        return replace(made, **(own | changes))


def decided(action: str, policy: str = "drafts", mode: str = "enforce") -> DecisionRecord:
    """What a policy said of a call, without figures."""
    return DecisionRecord(
        policy=policy,
        mode=mode,
        action=action,
        reason="",
        shared="",
        baseline_provider="azure",
        baseline_model="gpt-4o",
        baseline_region="eastus",
        baseline_zone="US",
        baseline_gco2e=None,
        choice_provider=None,
        choice_model=None,
        choice_region=None,
        choice_zone=None,
        choice_gco2e=None,
    )
