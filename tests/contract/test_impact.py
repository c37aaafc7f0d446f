"""POST /v1/impact, asked by the real `scope3ai` package: its rows are answered in its own models, a bad row fails no other."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scope3ai.api.client import Client
from scope3ai.api.types import ImpactRequest, ImpactResponse, ImpactRow, ModeledRow
from scope3ai.api.typesgen import CountryCode, Image, ImpactMetrics, Task

from tests.contract.proxy_harness import KEY, Proxy, proxy

ADMIN = "sk-admin-0123456789"
VIEWER = "sk-viewer-0123456789"
KEYS = [
    {"key": KEY, "name": "team"},
    {"key": VIEWER, "name": "eyes", "role": "viewer"},
    {"key": ADMIN, "name": "boss", "role": "admin"},
]
METRICS = tuple(ImpactMetrics.model_fields)
TALK = ImpactRow(model_id="gpt-4o-mini", input_tokens=1000, output_tokens=300)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    deployment = {"provider": "azure", "model": "gpt-4o-mini", "api_base": "http://127.0.0.1:9/v1", "region": "swedencentral"}
    with proxy(tmp_path_factory.mktemp("opened"), models={"small": {"deployments": [deployment]}}) as served:
        yield served


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(tmp_path_factory.mktemp("keyed"), keys=KEYS) as served:
        yield served


def ask(served: Proxy, *rows: ImpactRow, key: str = ADMIN) -> ImpactResponse:
    """What the real client makes of the answer."""
    client = Client(api_key=key, api_url=served.url)
    try:
        answer: ImpactResponse = client.get_impact(ImpactRequest(rows=list(rows)))
        return answer
    finally:
        client.client.close()


def one(served: Proxy, **fields: Any) -> ModeledRow:
    return ask(served, ImpactRow(**fields)).rows[0]


def weighed(row: ModeledRow) -> ImpactMetrics:
    assert row.error is None
    assert all(getattr(row.total_impact, name) > 0 for name in METRICS)
    return row.total_impact


def raw(served: Proxy, *rows: Any, target: str = "/v1/impact") -> Any:
    answer = served.post(target, {"rows": list(rows)})
    assert answer.status == 200
    return answer.json


def test_the_real_client_gets_its_rows_and_totals(opened: Proxy) -> None:
    answer = ask(opened, TALK, ImpactRow(model_id="claude-sonnet-4-5", input_tokens=2000, output_tokens=100))
    assert not answer.has_errors
    assert len(answer.rows) == 2
    parts = [weighed(row) for row in answer.rows]
    assert answer.total_energy_wh == pytest.approx(sum(part.usage_energy_wh for part in parts), rel=1e-3)
    assert answer.total_gco2e == pytest.approx(sum(part.usage_emissions_gco2e + part.embodied_emissions_gco2e for part in parts), rel=1e-3)
    assert answer.total_mlh2o == pytest.approx(sum(part.usage_water_ml + part.embodied_water_ml for part in parts), rel=1e-3)


def test_a_total_is_inference_and_training_and_training_is_the_smaller_part(opened: Proxy) -> None:
    row = ask(opened, TALK).rows[0]
    assert row.inference_impact is not None
    assert row.training_impact is not None
    for name in METRICS:
        parts = getattr(row.inference_impact, name), getattr(row.training_impact, name)
        assert getattr(row.total_impact, name) == pytest.approx(sum(parts), rel=2e-3)
        assert 0 < parts[1] < parts[0]


def test_inference_is_what_the_forecast_of_the_same_call_says(opened: Proxy) -> None:
    row = ask(opened, TALK).rows[0]
    forecast = opened.post(
        "/v1/footprint/estimate", {"model": "gpt-4o-mini", "provider": "openai", "input_tokens": 1000, "output_tokens": 300}
    ).json
    assert row.inference_impact is not None
    assert row.inference_impact.usage_energy_wh == pytest.approx(forecast["energy_wh"], rel=2e-3)
    assert row.inference_impact.usage_emissions_gco2e == pytest.approx(forecast["operational_gco2e"], rel=2e-3)
    assert row.inference_impact.embodied_emissions_gco2e == pytest.approx(forecast["embodied_gco2e"], rel=2e-3)
    assert row.inference_impact.usage_water_ml == pytest.approx(forecast["water_ml"], rel=2e-3)


def test_a_bad_row_carries_its_error_and_fails_no_other(opened: Proxy) -> None:
    strange = {"model_id": "gpt-4o-mini", "input_tokens": -1}
    answer = raw(opened, TALK.model_dump(exclude_unset=True), strange, TALK.model_dump(exclude_unset=True))
    parsed = ImpactResponse.model_validate(answer)
    assert parsed.has_errors
    assert [row.error is None for row in parsed.rows] == [True, False, True]
    alone = ask(opened, TALK, TALK)
    assert (parsed.total_gco2e, parsed.total_energy_wh) == (alone.total_gco2e, alone.total_energy_wh)
    error = parsed.rows[1].error
    assert error is not None
    assert (error.code, error.details and error.details.field) == ("invalid_row", "input_tokens")


@pytest.mark.parametrize(
    ("row", "code", "field"),
    [
        ({"input_tokens": 5}, "missing_model", "model_id"),
        ({"model_id": "gpt-4o"}, "nothing_to_weigh", "input_tokens"),
        ({"model_id": "gpt-4o", "input_tokens": "5"}, "invalid_row", "input_tokens"),
        ({"model_id": "gpt-4o", "input_tokens": 5, "prompt": "secret words"}, "invalid_row", "prompt"),
        ({"model_id": "gpt-4o", "output_images": ["huge"]}, "invalid_row", "output_images.0"),
        ({"model_id": "gpt-4o", "output_images": ["0x64"]}, "invalid_row", "output_images.0"),
        ({"model_id": "gpt-4o", "input_tokens": 5, "country": "France"}, "invalid_row", "country"),
        ({"model_id": "gpt-4o", "input_tokens": 5, "task": "clustering"}, "task_not_covered", "task"),
        ({"model_id": "gpt-4o", "input_tokens": 5, "task": "dancing"}, "task_not_covered", "task"),
        (["gpt-4o"], "invalid_row", None),
        (7, "invalid_row", None),
    ],
)
def test_a_row_that_cannot_be_weighed_says_which_field_and_no_sum_is_made_up(opened: Proxy, row: Any, code: str, field: str | None) -> None:
    answer = raw(opened, row)
    parsed = ImpactResponse.model_validate(answer)
    assert (parsed.total_gco2e, parsed.total_energy_wh, parsed.total_mlh2o, parsed.has_errors) == (None, None, None, True)
    error = answer["rows"][0]["error"]
    assert (error["code"], error["details"]["field"]) == (code, field)
    assert "secret words" not in json.dumps(answer)


def test_no_rows_weigh_nothing(opened: Proxy) -> None:
    assert raw(opened) == {"rows": [], "total_energy_wh": 0, "total_gco2e": 0, "total_mlh2o": 0, "has_errors": False}


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", "malformed_json", None),
        (b"[]", "invalid_type", None),
        (b'{"rows": {}}', "invalid_type", "rows"),
        (b'{"rows": [], "columns": []}', "invalid_type", "columns"),
        (json.dumps({"rows": [{}] * 1001}).encode(), "too_many_rows", "rows"),
        (b'{"rows":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "malformed_json", None),
    ],
)
def test_a_bad_request_is_refused_as_a_whole(opened: Proxy, body: bytes, code: str, param: str | None) -> None:
    answer = opened.post("/v1/impact", body)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, code, param)


def test_a_thousand_rows_are_answered_in_their_order(opened: Proxy) -> None:
    rows = [ImpactRow(model_id="gpt-4o-mini", output_tokens=count) for count in range(1, 1001)]
    energies = [row.total_impact.usage_energy_wh for row in ask(opened, *rows).rows]
    assert len(energies) == 1000
    assert energies == sorted(energies)
    assert energies[-1] > 100 * energies[0]


def test_region_goes_before_country_and_country_before_the_providers_default(opened: Proxy) -> None:
    def grams(**fields: Any) -> float:
        metrics = weighed(one(opened, model_id="gpt-4o-mini", input_tokens=100, output_tokens=100, **fields))
        found: float = metrics.usage_emissions_gco2e
        return found

    paris = grams(managed_service_id="aws-bedrock", cloud_region="eu-west-3", country=CountryCode("PL"))
    assert paris == grams(managed_service_id="aws-bedrock", cloud_region="eu-west-3")
    assert paris == grams(cloud_id="aws", cloud_region="eu-west-3")
    assert paris == pytest.approx(grams(cloud_region="eu-west-3"), rel=1e-3)
    poland, default = grams(country=CountryCode("PL")), grams()
    assert paris < default < poland
    assert default == grams(managed_service_id="openai")


def test_an_alias_is_weighed_where_this_proxy_serves_it(opened: Proxy) -> None:
    (row,) = raw(opened, {"model_id": "small", "managed_service_id": "openai", "output_tokens": 9}, target="/v1/impact?footprint=true")[
        "rows"
    ]
    assert (row["footprint"]["zone"], row["footprint"]["place_assumed"]) == ("SE-SE3", False)


def test_the_model_that_answered_goes_before_the_one_asked_for_unless_nobody_knows_it(opened: Proxy) -> None:
    def energy(**names: str) -> float:
        found: float = weighed(one(opened, output_tokens=100, **names)).usage_energy_wh
        return found

    small, large = energy(model_id="gpt-4o-mini"), energy(model_id="gpt-4o")
    assert small < large
    assert energy(model_id="gpt-4o", model_used_id="gpt-4o-mini-2024-07-18") == small
    assert energy(model_id="gpt-4o-mini", model_used_id="ours-v7") == small
    assert energy(model_name="gpt-4o-mini") == small


def test_the_footprint_beside_a_row_holds_range_tier_and_method(opened: Proxy) -> None:
    plain = raw(opened, {"model_id": "gpt-4o", "output_tokens": 9})["rows"][0]
    found = raw(opened, {"model_id": "gpt-4o", "output_tokens": 9}, target="/v1/impact?footprint=true")["rows"][0]
    footprint = found.pop("footprint")
    assert found == plain
    assert 0 < footprint["gco2e_low"] < footprint["gco2e"] < footprint["gco2e_high"]
    assert footprint["method"].startswith("tokens@")
    assert footprint["profile"] == "sci-consumer"
    assert footprint["quality"] in "ABCDE"
    assert footprint["factor_set"]


@pytest.mark.parametrize(
    "fields",
    [
        {"model_id": "mistral-large-2407", "input_tokens": 100, "output_tokens": 400},
        {"model_id": "text-embedding-3-small", "input_tokens": 500},
        {"model_id": "text-embedding-3-small", "input_tokens": 500, "task": Task.text_embedding},
        {"model_id": "gpt-4o", "input_tokens": 900, "output_tokens": 50, "input_images": [Image("1024x1024")]},
        {"model_id": "gpt-4o", "input_tokens": 900, "output_tokens": 50, "input_audio_seconds": 3.5, "request_duration_ms": 283.0},
    ],
)
def test_rows_of_other_kinds_are_weighed_too(opened: Proxy, fields: dict[str, Any]) -> None:
    weighed(one(opened, **fields))


@pytest.mark.parametrize(
    ("fields", "method"),
    [
        ({"model_id": "dall-e-3", "output_images": [Image("1024x1024"), Image("512x512")]}, "images"),
        (
            {"model_id": "stable-diffusion-xl", "output_images": [Image("1024x1024")], "input_steps": 30, "task": Task.text_to_image},
            "images",
        ),
        ({"model_id": "gpt-image-1", "output_images": [Image("1024x1024")], "output_tokens": 1056}, "image_tokens"),
        ({"model_id": "whisper-1", "input_audio_seconds": 60.0, "task": Task.speech_to_text}, "audio"),
        ({"model_id": "whisper-1", "input_audio_seconds": 60.0, "task": Task.translation}, "audio"),
        ({"model_id": "tts-1", "output_audio_seconds": 60.0, "input_tokens": 100, "task": Task.text_to_speech}, "audio"),
        ({"model_id": "sora-2", "output_video_frames": 120, "output_video_resolution": 720}, "video"),
    ],
)
def test_pictures_sound_and_video_are_weighed_by_methods_of_their_own(opened: Proxy, fields: dict[str, Any], method: str) -> None:
    sent = ImpactRow(**fields).model_dump(mode="json", exclude_unset=True)
    (row,) = raw(opened, sent, target="/v1/impact?footprint=true")["rows"]
    assert row["error"] is None
    assert row["footprint"]["method"].partition("@")[0] == method
    assert row["total_impact"]["usage_energy_wh"] > 0


def test_pictures_of_several_sizes_weigh_what_each_size_weighs(opened: Proxy) -> None:
    def energy(*sizes: str) -> float:
        found: float = weighed(one(opened, model_id="dall-e-3", output_images=[Image(size) for size in sizes])).usage_energy_wh
        return found

    small, large = energy("512x512"), energy("1024x1024")
    assert small < large
    assert energy("512x512", "1024x1024") == pytest.approx(small + large, rel=2e-3)
    assert energy("1024x1024", "1024x1024") == pytest.approx(2 * large, rel=0.2)


@pytest.mark.parametrize(
    ("key", "status", "code"), [(ADMIN, 200, ""), (VIEWER, 200, ""), (KEY, 403, "admin_only"), ("sk-stranger-99", 401, "invalid_api_key")]
)
def test_figures_need_an_admin_or_a_viewer_once_keys_exist(keyed: Proxy, key: str, status: int, code: str) -> None:
    answer = keyed.post("/v1/impact", {"rows": []}, authorization=f"Bearer {key}")
    assert answer.status == status
    if code:
        assert answer.error["code"] == code
        assert "/metrics" not in answer.error["message"]
    else:
        assert ask(keyed, TALK, key=key).total_gco2e


def test_only_posts_are_taken(opened: Proxy) -> None:
    assert opened.get("/v1/impact").status == 405


TRACED = """
import json, sys
import openai
from scope3ai import Scope3AI

key, origin = sys.argv[1:]
scope3 = Scope3AI.init(api_key=key, api_url=origin, sync_mode=True, providers=["openai"])
client = openai.OpenAI(api_key=key, base_url=origin + "/v1")
ask = {"model": "sim-small", "messages": [{"role": "user", "content": "Describe a merino jumper."}]}
with scope3.trace(keep_traces=True, project_id="noel") as tracer:
    whole = client.chat.completions.create(**ask)
    streamed = [chunk for chunk in client.chat.completions.create(**ask, stream=True)]
    traces = [trace.impact.total_impact.model_dump() for trace in tracer.traces]
    row = whole.scope3ai.impact
print(json.dumps({"error": row.error and row.error.message, "whole": row.total_impact.model_dump(), "traces": traces,
                  "inference": row.inference_impact.model_dump(), "footprint": whole.usage.model_extra["footprint"],
                  "streamed": streamed[-1].scope3ai.impact.total_impact.model_dump()}))
"""


def test_calls_traced_by_the_package_get_the_figures_that_the_answer_itself_carries(keyed: Proxy, tmp_path: Path) -> None:
    """The tracer wraps the openai client and asks for the impact of what it saw; both point at the proxy, in a process of their own."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = [sys.executable, "-c", TRACED, ADMIN, keyed.url]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environ, cwd=tmp_path, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    said = json.loads(ran.stdout)
    assert said["error"] is None
    assert len(said["traces"]) == 2
    assert said["streamed"]["usage_energy_wh"] > 0
    assert said["inference"]["usage_energy_wh"] == pytest.approx(said["footprint"]["energy_wh"], rel=2e-3)
    assert said["inference"]["usage_emissions_gco2e"] == pytest.approx(said["footprint"]["operational_gco2e"], rel=2e-3)
