"""What the configuration states of a deployment's machines reaches every figure that is given for it, and no other."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.proxy_harness import Proxy, ask, proxy, simulated, until

HARDWARE = {"gpu": "NVIDIA H100 80GB", "gpus": 4, "precision": "fp8", "batch": 32, "attention_data_parallel": 1}
MODEL = "llama-3.3-70b-instruct"
PLAN = {"input_tokens": 1000, "output_tokens": 300}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Aliases of the same model at the same place, which differ by what is stated."""
    with simulated() as upstream:
        own = {"provider": "local", "model": MODEL, "api_base": f"{upstream}/v1", "zone": "FR"}
        stated: dict[str, dict[str, Any]] = {
            "plain": {},
            "known": {"hardware": HARDWARE},
            "idle": {"operating_prior": "low_traffic"},
            "strange": {"hardware": {"gpu": "abacus"}},
        }
        models = {alias: {"deployments": [own | facts]} for alias, facts in stated.items()}
        with proxy(tmp_path_factory.mktemp("hardware"), models=models) as running:
            yield running


def spread(figures: dict[str, Any]) -> float:
    return float(figures["gco2e_high"]) / float(figures["gco2e_low"])


def estimated(made: Proxy, **asked: Any) -> dict[str, Any]:
    answer = made.post("/v1/footprint/estimate", PLAN | asked)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


def test_a_call_to_known_machines_has_a_narrower_range_and_says_tier_c(made: Proxy) -> None:
    spreads, tiers = {}, {}
    for alias in ("plain", "known"):
        answer = made.chat(ask(model=alias))
        footprint = answer.json["usage"]["footprint"]
        record = made.get(f"/v1/footprint/{answer.ours['call-id']}").json
        opinion = record["attempts"][0]["estimates"][0]
        assert opinion["gco2e"] == pytest.approx(float(answer.ours["gco2e"]), rel=1e-3)
        assert spread(footprint) == pytest.approx(spread(opinion), rel=1e-2)
        spreads[alias], tiers[alias] = spread(opinion), opinion["quality_parts"]["hardware"]
    assert spreads["known"] < spreads["plain"]
    assert tiers == {"plain": "D", "known": "C"}


def test_a_forecast_of_the_call_narrows_alike(made: Proxy) -> None:
    plain, known = (made.chat(ask(model=alias, max_tokens=50), x_grammage_dry_run="true").json["forecast"] for alias in ("plain", "known"))
    assert spread(known) < spread(plain)


def test_shadow_methods_weigh_on_the_stated_machines_too(tmp_path: Path) -> None:
    """A disclosure weighs this model; tokens weighs it beside."""
    with simulated() as upstream:
        own = {"provider": "local", "model": "mistral-large-2", "api_base": f"{upstream}/v1", "zone": "FR"}
        models = {"plain": {"deployments": [own]}, "known": {"deployments": [own | {"hardware": HARDWARE}]}}
        with proxy(tmp_path, models=models, weighing={"shadow": ["tokens"]}) as served:
            plain, known = (shadow_of(served, alias) for alias in ("plain", "known"))
    assert (plain["quality_parts"]["hardware"], known["quality_parts"]["hardware"]) == ("D", "C")
    assert spread(known) < spread(plain)


def shadow_of(served: Proxy, alias: str) -> dict[str, Any]:
    """What the shadow says of a call."""
    call_id = served.chat(ask(model=alias)).ours["call-id"]
    (found,) = until(lambda: served.get(f"/v1/footprint/{call_id}").json["attempts"][0]["shadow"] or None)
    return dict(found)


def test_an_estimate_of_an_alias_is_weighed_on_its_machines_unless_another_place_is_named(made: Proxy) -> None:
    plain, known = (estimated(made, model=alias) for alias in ("plain", "known"))
    assert spread(known) < spread(plain)
    assert (plain["quality_parts"]["hardware"], known["quality_parts"]["hardware"]) == ("D", "C")
    assert (plain["hardware"], known["hardware"]) == ({}, HARDWARE)
    elsewhere = estimated(made, model="known", provider="azure", region="swedencentral")
    assert (elsewhere["hardware"], elsewhere["quality_parts"]["hardware"]) == ({}, "D")


def test_machines_in_the_request_go_before_those_of_the_alias(made: Proxy) -> None:
    asked = estimated(made, model="plain", hardware=HARDWARE)
    known = estimated(made, model="known")
    assert asked["gco2e"] == known["gco2e"]
    lonely = estimated(made, model="known", hardware={"gpu": "h100", "gpus": 4, "precision": "fp8", "batch": 1})
    assert lonely["gco2e"] > known["gco2e"]
    assert lonely["hardware"] == {"gpu": "h100", "gpus": 4, "precision": "fp8", "batch": 1}


def test_quiet_machines_of_one_deployment_weigh_more(made: Proxy) -> None:
    plain, idle = (estimated(made, model=alias) for alias in ("plain", "idle"))
    assert idle["gco2e"] > plain["gco2e"]
    assert idle["gco2e"] == estimated(made, model="plain", operating_prior="low_traffic")["gco2e"]
    assert (plain["operating_prior"], idle["operating_prior"]) == ("typical", "low_traffic")
    assert estimated(made, model="idle", operating_prior="typical")["gco2e"] == plain["gco2e"]
    grams = [float(made.chat(ask(model=alias)).ours["gco2e"]) for alias in ("plain", "idle")]
    assert grams == sorted(set(grams))


def test_rows_of_an_impact_request_are_weighed_on_the_alias_s_machines(made: Proxy) -> None:
    rows = [{"model_id": alias, **PLAN} for alias in ("plain", "known", "idle")]
    rows += [{"model_id": alias, "country": "FR", **PLAN} for alias in ("plain", "known")]
    found = made.post("/v1/impact?footprint=true", {"rows": rows}).json["rows"]
    plain, known, idle, plain_elsewhere, known_elsewhere = (row["footprint"] for row in found)
    assert spread(known) < spread(plain)
    assert known_elsewhere == plain_elsewhere, "a country alone is not this deployment"
    assert idle["gco2e"] > plain["gco2e"]
    water = [row["inference_impact"]["embodied_water_ml"] for row in found]
    assert water[2] > water[0]
    for row, alias in zip((plain, known, idle), ("plain", "known", "idle"), strict=True):
        assert row["gco2e"] == estimated(made, model=alias)["gco2e"]


def test_impact_rows_are_weighed_by_the_configured_methods(tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = {"rows": [{"model_id": "mistral-large-2", **PLAN}]}
    found = {}
    for name, methods in (("usual", []), ("tokens", ["tokens"])):
        with proxy(tmp_path_factory.mktemp(name), weighing={"methods": methods}) as running:
            found[name] = running.post("/v1/impact?footprint=true", rows).json["rows"][0]["footprint"]["method"].partition("@")[0]
    assert found == {"usual": "disclosed", "tokens": "tokens"}


def test_a_strange_word_in_the_configuration_warns_with_each_figure(made: Proxy) -> None:
    found = estimated(made, model="strange")
    assert "gpu-unknown" in found["warnings"]
    assert found["gco2e"] == estimated(made, model="plain")["gco2e"]


@pytest.mark.parametrize(
    ("hardware", "param", "said"),
    [
        ({"gpu": "h1000"}, "hardware.gpu", "h200"),
        ({"precision": "fp7"}, "hardware.precision", "bf16"),
        ({"gpus": 0}, "hardware.gpus", "greater"),
        ({"gpus": "8"}, "hardware.gpus", "integer"),
        ({"batch": 0.5}, "hardware.batch", "greater"),
        ({"gpu_count": 8}, "hardware.gpu_count", "not permitted"),
        ("h100", "hardware", "object"),
    ],
)
def test_machines_that_cannot_be_are_refused_with_what_is_known(made: Proxy, hardware: Any, param: str, said: str) -> None:
    answer = made.post("/v1/footprint/estimate", {"model": "plain", **PLAN, "hardware": hardware})
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "invalid_type", param)
    assert said in answer.error["message"], json.dumps(answer.error)


def test_the_api_document_can_be_followed_to_every_schema_it_names(made: Proxy) -> None:
    text = made.get("/openapi.json").body.decode()
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert "AskedHardware" in named
    assert named <= set(json.loads(text)["components"]["schemas"])
    assert "#/$defs" not in text
