"""Times a decision by 20 policies among 20 deployments: `python -m tests.bench.decide`. It must never time the preparing of a method."""

import timeit
from dataclasses import replace

from config.settings import Settings
from config.tables import load_tables
from estimators.usage import Usage
from proxy.call import Caller
from proxy.consult import policies_from
from proxy.policy.candidates import candidates_from
from proxy.policy.choose import choose
from proxy.policy.rule import CallFacts
from proxy.weigh import Scales, WeighingRules

POLICIES, ROUNDS, CALLS = 20, 7, 5_000
REGIONS = ("swedencentral", "francecentral", "westeurope", "eastus", "polandcentral")
MODELS = ("gpt-4o", "gpt-4o-mini", "mistral-small-3.2", "mistral-large-2411")
GOAL_US = 50


def settings_of(policies: int) -> Settings:
    """An alias of 20 deployments, and policies of which the last is for drafts."""
    rows = [
        {"provider": "azure", "model": model, "region": region, "api_base": f"https://{region}-{model}.example/v1", "api_key": "k"}
        for model in MODELS
        for region in REGIONS
    ]
    rules = [
        {
            "name": f"policy-{number}",
            "when": {"alias": ["gpt-4o", "auto"], "tags": {"stage": f"stage-{number}"}, "input_tokens_at_most": 8000},
            "require": {"zone_gco2e_per_kwh_at_most": 900, "water_ratio_at_most": 100},
            "prefer": {"lowest": "gco2e"},
            "mode": "enforce",
        }
        for number in range(policies)
    ]
    return Settings.model_validate({"models": {"gpt-4o": {"deployments": rows}}, "policies": rules})


def main() -> None:
    """Prints microseconds per decision, the best of several rounds."""
    tables, settings = load_tables(), settings_of(POLICIES)
    candidates = candidates_from(settings, tables.places)
    scales = Scales(tables, WeighingRules(operating_prior="typical", profile="sci-consumer"))
    policies = policies_from(settings, tables, candidates, scales)
    if policies is None:
        raise SystemExit("no policies")
    call = CallFacts(
        call_id="call",
        alias="gpt-4o",
        operation="chat",
        weighed_as="chat",
        path="/v1/chat/completions",
        dialect="openai",
        caller=Caller(id="bench"),
        tags=(("stage", f"stage-{POLICIES - 1}"),),
        usage=Usage(input_tokens=500, output_tokens=300, source="estimated"),
        usual=candidates.of("gpt-4o"),
    )
    rule = policies.rules.first(call)
    if rule is None:
        raise SystemExit("no policy is for the call")
    for option in policies.shortlists.missing(rule, call):
        scales.prepare(option.candidate, option.model, call.weighed_as)
    other = replace(call, tags=(("stage", "final"),))
    timed = {
        f"last of {POLICIES} policies, {len(call.usual)} deployments": lambda: choose(policies.rules, call, policies.shortlists),
        f"none of {POLICIES} policies": lambda: choose(policies.rules, other, policies.shortlists),
        "no policy for the alias": lambda: policies.rules.concern("other", "chat"),
    }
    for name, work in timed.items():
        took_us = min(timeit.repeat(work, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6
        print(f"{took_us:8.2f} us  {name}")
    print(f"goal: at most {GOAL_US} us")


if __name__ == "__main__":
    main()
