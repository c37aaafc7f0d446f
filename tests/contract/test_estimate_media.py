"""Forecasts of pictures, speech, embeddings and clips, on the command line and over HTTP."""

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from config.settings import Settings
from config.tables import load_tables
from estimators.methods import ecologits_adapter
from proxy.cli.main import app
from proxy.web import WebRooms, create_web
from proxy.web.openapi import describe

PROVIDER = ("--provider", "openai")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def call(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments), prog_name="grammage")
    assert result.exit_code == code, result.output
    return result


def data(*arguments: str) -> Any:
    return json.loads(call("estimate", *arguments, "--format", "json").stdout)


def flat(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


MEDIA = [
    (("-m", "gpt-image-1", "--quality", "high", "--size", "1024x1024"), "image_tokens@", "images"),
    (("-m", "whisper-1", "--audio-seconds", "60"), "audio@", "audio"),
    (("-m", "tts-1", "--characters", "900"), "audio@", "audio"),
    (("-m", "tts-1", "--operation", "speech", "--audio-seconds", "60"), "audio@", "audio"),
    (("-m", "text-embedding-3-small", "-i", "400"), "embeddings@", "embeddings"),
    (("-m", "omni-moderation-latest", "-i", "400"), "moderation@", "moderation"),
    (("-m", "gemini-2.5-flash-image", "--images", "2"), "image_tokens@", "images"),
]


@pytest.mark.parametrize(("asked", "method", "operation"), MEDIA)
def test_every_kind_of_call_is_weighed_by_its_own_method(asked: tuple[str, ...], method: str, operation: str) -> None:
    found = data(*asked, *PROVIDER)
    assert found["method"].startswith(method)
    assert found["operation"] == operation
    assert 0 < found["gco2e"]["p5"] < found["gco2e"]["expected"] < found["gco2e"]["p95"]
    assert "operation-not-covered" not in found["warnings"]
    assert "Expect about" in call("estimate", *asked).stdout


def test_pictures_and_clips_of_pixel_billed_models_are_weighed_too() -> None:
    for asked in (("-m", "stable-diffusion-3.5-large", "--size", "1024x1024"), ("-m", "sora-2", "--video-seconds", "5")):
        assert data(*asked)["gco2e"]["p5"] > 0


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (
            ("-m", "gpt-image-1", "--quality", "low", "--size", "1024x1024"),
            ("-m", "gpt-image-1", "--quality", "high", "--size", "1024x1024"),
        ),
        (("-m", "whisper-1", "--audio-seconds", "30"), ("-m", "whisper-1", "--audio-seconds", "600")),
        (("-m", "tts-1", "--characters", "100"), ("-m", "tts-1", "--characters", "2000")),
        (("-m", "gpt-image-1", "--size", "1024x1024"), ("-m", "gpt-image-1", "--size", "1024x1024", "--input-images", "3")),
        (("-m", "gpt-4o", "-i", "9", "-o", "9", "--prior", "saturated"), ("-m", "gpt-4o", "-i", "9", "-o", "9", "--prior", "low_traffic")),
        (("-m", "gpt-4o", "-i", "9", "-o", "9"), ("-m", "gpt-4o", "-i", "9", "-o", "9", "--profile", "ghgp-cat1")),
    ],
)
def test_more_of_it_weighs_more(less: tuple[str, ...], more: tuple[str, ...]) -> None:
    assert data(*less)["gco2e"]["expected"] < data(*more)["gco2e"]["expected"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("-m", "gpt-4o"), "--input-tokens: gpt-4o: a call of kind chat is weighed by its tokens; give the input tokens"),
        (("-m", "gpt-4o", "-i", "1"), "--output-tokens: gpt-4o"),
        (("-m", "tts-1"), "--audio-seconds: tts-1: audio is weighed by its length"),
        (("-m", "sora-2"), "--video-seconds: sora-2"),
        (("-m", "gpt-image-1", "--size", "large"), "--size: 'large' is no size; write width x height, such as 1024x1536"),
        (("-m", "gpt-image-1", "--size", "0x10"), "--size: '0x10' is no size"),
        (
            ("-m", "gpt-4o", "-i", "1", "-o", "1", "--prior", "busy"),
            "--prior: 'busy' does not exist; known: saturated, at_scale, typical, low_traffic",
        ),
        (("-m", "gpt-4o", "-i", "1", "-o", "1", "--profile", "green"), "--profile: 'green' does not exist; known: sci-consumer"),
        (("-m", "gpt-4o", "-i", "1", "-o", "1", "--method", "magic"), "--method: 'magic' does not exist; known: "),
        (("-m", "gpt-4o", "-i", "1", "-o", "1", "--beside", "magic"), "--beside: 'magic' does not exist"),
        (("-m", "gpt-4o", "--operation", "dance", "-i", "1", "-o", "1"), "--operation: gpt-4o: operation 'dance' does not exist"),
        (("-m", " ", "-i", "1", "-o", "1"), "--model: is empty"),
    ],
)
def test_what_is_missing_or_wrong_is_said_with_its_option(asked: tuple[str, ...], words: str) -> None:
    assert words in flat(call("estimate", *asked, code=2).stderr)


def test_several_models_stand_side_by_side_lightest_first() -> None:
    asked = ("-m", "gpt-4o", "-m", "gpt-4o-mini", "-m", "gpt-4o", "-i", "500", "-o", "300")
    found = data(*asked)
    assert [one["model"] for one in found] == ["gpt-4o-mini", "gpt-4o"]
    assert found[0]["gco2e"]["expected"] < found[1]["gco2e"]["expected"]
    shown = call("estimate", *asked).stdout
    assert "times gpt-4o-mini; it weighs more with a probability of" in shown
    table = list(csv.DictReader(io.StringIO(call("estimate", *asked, "--format", "csv").stdout)))
    assert [row["model"] for row in table] == ["gpt-4o-mini", "gpt-4o"]
    assert all(float(row["gco2e_low"]) < float(row["gco2e"]) < float(row["gco2e_high"]) for row in table)


def test_other_methods_stand_beside_and_change_nothing() -> None:
    asked = ("-m", "llama-3.1-70b", "-i", "50", "-o", "400")
    found = data(*asked, "--beside", "tokens", "--beside", "audio")
    assert found["gco2e"] == data(*asked)["gco2e"]
    tokens, audio = found["beside"]
    assert tokens["gco2e"] == found["gco2e"]
    assert "does not weigh this model's chat" in audio["problem"]
    assert "beside     tokens@" in call("estimate", *asked, "--beside", "tokens").stdout


def test_a_method_whose_library_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecologits_adapter, "PACKAGE", "no-such-package")
    asked = ("-m", "gpt-4o", "-i", "50", "-o", "400")
    assert "--method: gpt-4o: the EcoLogits library is not installed" in flat(
        call("estimate", *asked, "--method", "ecologits", code=2).stderr
    )
    assert "is not installed" in data(*asked, "--beside", "ecologits")["beside"][0]["problem"]


def test_published_figures_of_the_very_model_are_printed_beside() -> None:
    asked = ("-m", "mistral-large-2407", "-i", "50", "-o", "400")
    assert any(one["kind"] == "reviewed" and one["gco2e"] for one in data(*asked)["published"])
    assert "published  1.1 gCO2e per answer" in call("estimate", *asked).stdout
    assert data("-m", "mistral-large-latest", "-i", "50", "-o", "400")["published"] == []


def listed(*arguments: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(call(*arguments, "--format", "csv").stdout)))


def test_models_are_filtered_by_vendor_operation_tier_and_openness() -> None:
    cards = {card.id: card for card in load_tables().catalogue.cards()}
    assert {row["vendor"] for row in listed("models", "--vendor", "mistral")} == {"mistral"}
    assert all("video" in row["operations"].split() for row in listed("models", "--operation", "video"))
    assert all(cards[row["id"]].tier == "B" for row in listed("models", "--tier", "b"))
    opened, closed = listed("models", "--open"), listed("models", "--closed")
    assert len(opened) + len(closed) == len(cards)
    assert all(cards[row["id"]].open_weights for row in opened)
    assert "40 (13 - 125)" in call("models", "--search", "gpt-image-1").stdout
    assert "did you mean mistral?" in flat(call("models", "--vendor", "mistrl", code=2).stderr)
    assert "did you mean claude-sonnet-4" in call("models", "-s", "claud-sonnet-4x", code=1).stderr
    assert "give one of" in flat(call("models", "--open", "--closed", code=2).stderr)


def test_regions_are_found_by_grid_and_name_and_sorted_by_weight() -> None:
    clean = listed("regions", "--sort", "gco2e", "--below", "60")
    weights = [float(row["gco2e_per_kwh"]) for row in clean]
    assert weights == sorted(weights)
    assert max(weights) < 60
    assert {row["provider"] for row in listed("regions", "--provider", "bedrock")} == {"aws"}
    assert all("FR" in row["zone"] for row in listed("regions", "--search", "paris"))
    assert "Sources: " in call("regions", "--provider", "azure").stdout
    assert "no region of azure matches" in call("regions", "-p", "azure", "-s", "atlantis", code=1).stderr


class Client(httpx.AsyncClient):
    """Speaks to the application in process."""

    def __init__(self) -> None:
        rooms = WebRooms(
            render_metrics=lambda accept: (b"", ""),
            find_call=lambda call_id: None,
            authorise=lambda scope: None,  # type: ignore[arg-type, return-value]  # nobody asks who calls here
            unready=tuple,
            deployed=lambda alias: None,
            usual_output_tokens=lambda alias: 300,
            tables=load_tables(),
            settings=Settings(),
        )
        super().__init__(transport=httpx.ASGITransport(create_web(rooms)), base_url="http://grammage")


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Client() as made:
        yield made


async def ask(client: Client, **asked: object) -> dict[str, Any]:
    reply = await client.post("/v1/footprint/estimate", json=asked)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def test_media_are_forecast_over_http(client: Client) -> None:
    high = await ask(client, model="gpt-image-1", size="1024x1536", quality="high", n=2)
    assert high["operation"] == "images"
    assert high["method"].startswith("image_tokens@")
    assert high["usage"] | {"images": 2, "width": 1024, "height": 1536, "quality": "high", "output_tokens": 0} == high["usage"]
    low = await ask(client, model="gpt-image-1", size="1024x1536", quality="low", n=2)
    assert 0 < low["gco2e"] < high["gco2e"]
    speech = await ask(client, model="tts-1", characters=1200)
    assert (speech["operation"], speech["usage"]["characters"]) == ("audio", 1200)
    assert (await ask(client, model="whisper-1", audio_seconds=600))["usage"]["audio_input_seconds"] == 600
    assert (await ask(client, model="text-embedding-3-small", input_tokens=50))["method"].startswith("embeddings@")
    assert (await ask(client, model="omni-moderation-latest", input_tokens=50))["method"].startswith("moderation@")


async def test_an_answer_of_text_keeps_its_usual_length_and_a_picture_has_none(client: Client) -> None:
    assert (await ask(client, model="gpt-4o-mini", input_tokens=10))["usage"]["output_tokens"] == 300
    assert (await ask(client, model="gemini-2.5-flash-image", images=1))["usage"]["output_tokens"] == 0


@pytest.mark.parametrize(
    ("asked", "provider"),
    [({"model": "gpt-4o-mini"}, "openai"), ({"model": "gpt-4o-mini", "provider": "azure"}, "azure"), ({"model": "nobody-9"}, "unknown")],
)
async def test_a_model_that_is_not_served_here_is_forecast_where_its_vendor_serves_it(
    client: Client, asked: dict[str, object], provider: str
) -> None:
    found = await ask(client, **asked, input_tokens=10, output_tokens=10)
    assert found["provider"] == provider
    assert ("provider-unknown" in found["warnings"]) is (provider == "unknown")
    assert found["place_assumed"] is True


async def test_assumptions_and_methods_can_be_chosen_over_http(client: Client) -> None:
    asked = {"model": "mistral-large-2", "input_tokens": 50, "output_tokens": 400, "provider": "mistral"}
    usual = await ask(client, **asked)
    assert usual["method"].startswith("disclosed@")
    assert usual["published"][0]["gco2e"] > 1
    modelled, busy = await ask(client, **asked, method="tokens"), await ask(client, **asked, method="tokens", operating_prior="saturated")
    assert busy["gco2e"] < modelled["gco2e"] < usual["gco2e"]
    assert (await ask(client, **asked, profile="ghgp-cat1"))["profile"] == "ghgp-cat1"


async def test_a_method_whose_library_is_missing_is_refused_over_http(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecologits_adapter, "PACKAGE", "no-such-package")
    reply = await client.post("/v1/footprint/estimate", json={"model": "gpt-4o", "input_tokens": 1, "method": "ecologits"})
    assert reply.status_code == 400
    assert (reply.json()["error"]["code"], reply.json()["error"]["param"]) == ("invalid_type", "method")
    assert "is not installed" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("asked", "code", "param"),
    [
        ({"model": "tts-1"}, "missing_input", "audio_seconds"),
        ({"model": "sora-2"}, "missing_input", "video_seconds"),
        ({"model": "gpt-image-1", "size": "big"}, "invalid_type", "size"),
        ({"model": "gpt-image-1", "images": 0}, "invalid_type", "images"),
        ({"model": "gpt-4o", "input_tokens": 1, "method": "magic"}, "invalid_type", "method"),
        ({"model": "gpt-4o", "input_tokens": 1, "profile": "green"}, "invalid_type", "profile"),
        ({"model": "gpt-4o", "input_tokens": 1, "operating_prior": "busy"}, "invalid_type", "operating_prior"),
    ],
)
async def test_a_bad_media_request_names_the_field_at_fault(client: Client, asked: dict[str, object], code: str, param: str) -> None:
    reply = await client.post("/v1/footprint/estimate", json=asked)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["code"], error["param"]) == (code, param)


def test_the_description_names_every_field_and_every_part_of_the_answer() -> None:
    schemas = describe("", "1")["components"]["schemas"]
    asked = set(schemas["EstimateRequest"]["properties"])
    assert {"operation", "images", "size", "quality", "steps", "audio_seconds", "characters", "video_seconds", "input_images"} <= asked
    assert {"operation", "published", "usage"} <= set(schemas["Estimate"]["required"])
