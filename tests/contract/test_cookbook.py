"""Each recipe of config/examples/policies on a real proxy, by the real openai client: headers, ledger and metrics say what it does."""

import base64
import contextlib
import io
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from PIL import Image

from config.load import load_settings
from tests.contract.ledger_rows import in_order, plain
from tests.contract.proxy_harness import KEY, Proxy, proxy, until
from tests.contract.scripted_upstream import Received, Script, ScriptedUpstream, scripted_upstream, streamed, whole
from tests.contract.test_policies import counted, decisions
from tests.contract.test_policies_measures import telling

COOKBOOK = Path(__file__).resolve().parents[2] / "config" / "examples" / "policies"
HOUR = {"fr": 12.0, "se": 90.0, "pl": 650.0}
"""What the live source tells: France is lowest now, Sweden is over the year."""


def recipe(name: str, **changes: Any) -> pytest.MarkDecorator:
    """A test of this recipe. changes: sections of it, for what would take a month otherwise."""
    return pytest.mark.parametrize("made", [(name, changes)], indirect=True, ids=[name])


@pytest.fixture(scope="module")
def provider() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as found:
        yield found


@pytest.fixture
def grid() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as found:
        found.script = telling(dict(HOUR))
        yield found


@pytest.fixture
def made(
    request: pytest.FixtureRequest, tmp_path: Path, provider: ScriptedUpstream, grid: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proxy]:
    """The recipe as it stands, but for the addresses of its deployments and live sources."""
    name, changes = request.param
    content = load_settings(COOKBOOK / f"{name}.yaml", {}).model_dump(mode="json", exclude_defaults=True)
    for alias in content["models"].values():
        for deployment in alias["deployments"]:
            deployment["api_base"] = f"{provider.url}/v1"
    for source in content.get("intensity", {}).get("sources", ()):
        source["url"] = grid.url
    monkeypatch.setattr("proxy.intensity.asker.SPACING_S", 0.01)
    provider.script = answering
    provider.received.clear()
    content.pop("version", None)
    with proxy(tmp_path, **{**content, **changes}) as found:
        yield found


def answering(request: Received) -> Script:
    """A whole or streamed answer in the shape that the path asks for."""
    asked = json.loads(request.body)
    if request.target.endswith("/images/generations"):
        return whole(json.dumps({"created": 1, "data": [{"b64_json": "AA=="}] * asked.get("n", 1)}).encode())
    if request.target.endswith("/embeddings"):
        return whole(
            b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"e","usage":{"prompt_tokens":9,"total_tokens":9}}'
        )
    usage = {"prompt_tokens": 200, "completion_tokens": 100, "total_tokens": 300}
    about = {"id": "c", "created": 1, "model": asked["model"]}
    said = {"role": "assistant", "content": "A warm jumper. Hand wash."}
    if asked.get("stream"):
        chunks: list[dict[str, Any]] = [
            {**about, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": said, "finish_reason": "stop"}]},
            {**about, "object": "chat.completion.chunk", "choices": [], "usage": usage},
        ]
        return streamed(*(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks), b"data: [DONE]\n\n")
    choice = {"index": 0, "finish_reason": "stop", "message": said}
    return whole(json.dumps({**about, "object": "chat.completion", "choices": [choice], "usage": usage}).encode())


@contextlib.contextmanager
def client(made: Proxy) -> Iterator[openai.OpenAI]:
    """The client library with its own retries: a refusal must not be tried again."""
    with openai.OpenAI(base_url=made.v1, api_key=KEY) as found:
        yield found


def tags(**values: str) -> dict[str, str]:
    return {f"x-grammage-tag-{name}": value for name, value in values.items()}


def write(made: Proxy, alias: str, text: str = "Describe the merino jumper.", *, headers: dict[str, str] | None = None, **more: Any) -> Any:
    """One chat by the client; its raw answer."""
    with client(made) as found:
        messages: Any = [{"role": "user", "content": text}]
        return found.chat.completions.with_raw_response.create(model=alias, messages=messages, extra_headers=headers or {}, **more)


def draw(made: Proxy, headers: dict[str, str], **more: Any) -> Any:
    """One picture by the client; its raw answer."""
    with client(made) as found:
        return found.images.with_raw_response.generate(model="visuals", prompt="A merino jumper", extra_headers=headers, **more)


def sent(provider: ScriptedUpstream) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(provider.last.body)
    return found


def asked_for(provider: ScriptedUpstream) -> list[str]:
    return [json.loads(request.body)["model"] for request in provider.received]


def rows(made: Proxy, table: str) -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(f"file:{made.ledger}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        return [plain(row) for row in database.execute(in_order(table))]


def told(made: Proxy, raw: Any, *, policy: str, action: str, reason: str = "", word: str | None = None) -> dict[str, Any]:
    """The record of the call; header, ledger, record and metric say the same of it."""
    assert raw.headers["x-grammage-policy"] == (policy if word is None else word)
    call_id = raw.headers["x-grammage-call-id"]
    (row,) = [row for row in decisions(made) if row["call_id"] == call_id]
    assert (row["policy"], row["action"], row["reason"]) == (policy, action, reason)
    record: dict[str, Any] = made.get(f"/v1/footprint/{call_id}").json
    assert (record["decision"]["policy"], record["decision"]["action"], record["decision"]["reason"]) == (policy, action, reason or None)
    mode = "shadow_" if row["mode"] == "shadow" else ""
    assert counted(made, "grammage_policy_decisions_total", policy=policy, action=mode + action) > 0
    return record


def untouched(made: Proxy, raw: Any, word: str = "none") -> None:
    """No policy had a say in it."""
    assert raw.headers["x-grammage-policy"] == word
    assert raw.headers["x-grammage-call-id"] not in {row["call_id"] for row in decisions(made)}
    assert float(raw.headers["x-grammage-gco2e"]) > 0


def lower(record: dict[str, Any]) -> None:
    """The modelled difference is below zero at both ends but the far one."""
    difference = record["decision"]["difference"]
    assert difference["gco2e_low"] < difference["gco2e"] < 0


def test_every_recipe_is_tried_here() -> None:
    marks = [mark for found in list(globals().values()) for mark in getattr(found, "pytestmark", ())]
    tried = {name for mark in marks for name, _ in mark.args[1]}
    assert tried == {file.stem for file in COOKBOOK.glob("*.yaml") if not file.name.endswith(".cases.yaml")}
    assert len(tried) >= 10


def test_the_index_names_every_recipe_and_no_other() -> None:
    named = {line.split("](")[1].split(".yaml)")[0] for line in (COOKBOOK / "README.md").read_text().splitlines() if ".yaml)" in line}
    assert named == {file.stem for file in COOKBOOK.glob("*.yaml") if not file.name.endswith(".cases.yaml")}


@recipe("drafts-small")
def test_drafts_go_small_and_finals_stay_large(made: Proxy, provider: ScriptedUpstream) -> None:
    draft = write(made, "large", headers=tags(stage="draft"))
    lower(told(made, draft, policy="drafts-go-small", action="routed"))
    assert (sent(provider)["model"], draft.headers["x-grammage-altered"]) == ("gpt-4o-mini", "max_tokens")
    final = write(made, "large", headers=tags(stage="final"))
    untouched(made, final)
    assert sent(provider)["model"] == "gpt-4o"
    assert float(final.headers["x-grammage-gco2e"]) > float(draft.headers["x-grammage-gco2e"])
    with client(made) as found:
        stream = found.chat.completions.with_raw_response.create(
            model="large", messages=[{"role": "user", "content": "A slogan"}], stream=True, extra_headers=tags(stage="idea")
        )
        assert [chunk.model for chunk in stream.parse()] == ["gpt-4o-mini"]
    made.recorded(3)
    lower(told(made, stream, policy="drafts-go-small", action="routed"))


@recipe("sheets-in-sweden-or-france")
def test_product_sheets_are_written_in_sweden_or_france_or_not_at_all(made: Proxy, provider: ScriptedUpstream) -> None:
    sheet = tags(tool="product-sheets")
    for headers in (sheet, {**sheet, "x-grammage-policy": "off"}):
        raw = write(made, "writer", headers=headers)
        record = told(made, raw, policy="sheets-in-sweden-or-france", action="routed")
        assert (raw.headers["x-grammage-region"], record["decision"]["baseline"]["region"]) == ("swedencentral", "eastus")
        lower(record)
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        write(made, "house-style", headers=sheet)
    assert (refused.value.code, len(provider.received)) == ("policy_refused", 2)
    assert counted(made, "grammage_policy_decisions_total", policy="sheets-in-sweden-or-france", action="refused") == 1
    untouched(made, write(made, "house-style"))


@recipe("low-carbon-regions")
def test_sheets_go_where_the_grid_is_low(made: Proxy, provider: ScriptedUpstream) -> None:
    regions = {write(made, "writer", headers=tags(asset="sheet-fr")).headers["x-grammage-region"] for _ in range(4)}
    assert regions == {"swedencentral"}
    assert {row["policy"] for row in decisions(made)} == {"sheets-in-low-carbon-regions"}
    untouched(made, write(made, "writer", headers=tags(asset="banner")))


@recipe("by-the-hour")
def test_calls_follow_the_hour_and_weigh_by_the_year(made: Proxy, provider: ScriptedUpstream) -> None:
    until(lambda: "hourly" if write(made, "writer").headers["x-grammage-region"] == "francecentral" else None)
    raw = write(made, "writer")
    record = told(made, raw, policy="where-the-hour-is-lowest", action="kept", reason="hourly")
    (attempt,) = record["attempts"]
    assert attempt["hourly_intensity"]["gco2e_per_kwh"] == HOUR["fr"]
    assert attempt["estimates"][0]["intensity_source"] != "energy-charts"


@recipe("by-kind-and-region")
def test_each_kind_of_work_has_its_model_in_the_lowest_region(made: Proxy, provider: ScriptedUpstream) -> None:
    expected = {
        ("final", "copy"): ("finals-that-need-the-large-one", "gpt-4.1"),
        ("draft", "summary"): ("drafts-that-the-small-one-does-well", "gpt-4.1-nano"),
        ("final", "sheet"): ("all-that-the-medium-one-does-well", "gpt-4.1-mini"),
    }
    for (stage, tool), (policy, model) in expected.items():
        raw = write(made, "large", headers=tags(stage=stage, tool=tool, market="fr"))
        lower(told(made, raw, policy=policy, action="routed"))
        assert (sent(provider)["model"], raw.headers["x-grammage-region"]) == (model, "swedencentral")
    untouched(made, write(made, "large", headers=tags(tool="else")))


@recipe("open-models-first")
def test_an_open_model_writes_where_it_is_good_enough(made: Proxy, provider: ScriptedUpstream) -> None:
    raw = write(made, "large", headers=tags(stage="draft"))
    lower(told(made, raw, policy="open-models-first", action="routed"))
    assert (sent(provider)["model"], raw.headers["x-grammage-region"]) == ("mistral-small-3.2-24b-instruct-2506", "fr-par")
    told(made, write(made, "large", headers=tags(stage="final", tool="copy")), policy="final-advertisements-stay", action="kept")
    assert sent(provider)["model"] == "gpt-4.1"
    provider.script = lambda request: (
        whole(b'{"error":{}}', status=b"503 Service Unavailable") if b"mistral" in request.body else answering(request)
    )
    assert write(made, "large", headers=tags(stage="draft")).parse().model == "gpt-4.1", "the usual one answers when the open one fails"


@recipe("small-then-large")
def test_the_large_model_steps_in_where_the_small_one_falls_short(made: Proxy, provider: ScriptedUpstream) -> None:
    sheets = tags(tool="product-sheets")
    good = until(
        lambda: raw if (raw := write(made, "large", headers=sheets)).headers["x-grammage-policy"] == "sheets-small-first" else None
    )
    lower(told(made, good, policy="sheets-small-first", action="routed"))
    assert "x-grammage-escalated" not in good.headers
    provider.received.clear()
    short = until(
        lambda: (
            raw
            if "x-grammage-escalated" in (raw := write(made, "large", headers=sheets, response_format={"type": "json_object"})).headers
            else None
        )
    )
    record = told(made, short, policy="sheets-small-first", action="routed")
    assert short.headers["x-grammage-escalated"] == "invalid_json"
    assert asked_for(provider)[-2:] == ["gpt-4o-mini", "gpt-4o"]
    assert [each["shortcoming"] for each in record["attempts"]] == ["invalid_json", None]
    assert [row["shortcoming"] for row in rows(made, "shortcomings")] == ["invalid_json"]
    assert record["decision"]["difference"]["gco2e"] > 0, "two answers weigh more than the large one alone"
    assert counted(made, "grammage_escalations_total", policy="sheets-small-first", reason="invalid_json") == 1


@recipe("watch-first")
def test_a_watching_policy_changes_nothing_and_a_tenth_is_held_back(made: Proxy, provider: ScriptedUpstream) -> None:
    watched = write(made, "translator", headers=tags(tool="translation"))
    told(made, watched, policy="translations-would-go-small", action="routed", word="shadow:translations-would-go-small")
    assert watched.headers["x-grammage-model"] == "sim-large"
    by_word: dict[str, Any] = {}
    until(lambda: len(by_word) == 2 or by_word.update(slogan(made)) or None)
    told(made, by_word["slogans-go-small"], policy="slogans-go-small", action="routed")
    told(
        made,
        by_word["holdback:slogans-go-small"],
        policy="slogans-go-small",
        action="holdback",
        reason="holdback",
        word="holdback:slogans-go-small",
    )
    models = {row["policy"]: row["model"] for row in made.calls() if row["policy"].endswith("slogans-go-small")}
    assert models == {"slogans-go-small": "sim-small", "holdback:slogans-go-small": "sim-large"}


def slogan(made: Proxy) -> dict[str, Any]:
    raw = write(made, "translator", headers=tags(tool="slogans"))
    return {raw.headers["x-grammage-policy"]: raw}


@recipe("short-answers")
def test_short_answers_are_asked_for_in_the_language_of_the_request(made: Proxy, provider: ScriptedUpstream) -> None:
    raw = write(made, "writer", "Écris une légende pour ce pull en laine mérinos.", headers=tags(tool="captions"), n=4)
    record = told(made, raw, policy="short-answers", action="kept")
    assert raw.headers["x-grammage-altered"] == "max_tokens,n,concise"
    assert record["altered"] == ["max_tokens", "n", "concise"]
    assert (sent(provider)["max_tokens"], sent(provider)["n"]) == (300, 2)
    (line, question) = sent(provider)["messages"]
    assert (line["role"], question["content"][:5]) == ("system", "Écris")
    assert line["content"].startswith("Réponds brièvement")
    untouched(made, write(made, "writer", headers=tags(tool="articles"), max_tokens=4000))
    assert sent(provider)["max_tokens"] == 4000


@recipe("visuals-capped")
def test_visuals_are_of_low_quality_until_approved(made: Proxy, provider: ScriptedUpstream) -> None:
    raw = draw(made, tags(stage="draft", asset="hero"), n=4, size="1536x1024", quality="high")
    record = told(made, raw, policy="visuals-low-until-approved", action="kept")
    assert {name: sent(provider)[name] for name in ("n", "size", "quality")} == {"n": 2, "size": "1024x1024", "quality": "low"}
    assert (raw.headers["x-grammage-altered"], record["altered"]) == ("n,size,quality", ["n", "size", "quality"])
    approved = draw(made, tags(stage="approved", asset="hero"), n=1, size="1536x1024", quality="high")
    told(made, approved, policy="approved-visuals-as-asked", action="kept")
    assert (sent(provider)["size"], sent(provider)["quality"]) == ("1536x1024", "high")
    assert approved.headers["x-grammage-iterations"] == "1/3"
    assert "x-grammage-altered" not in approved.headers
    assert float(approved.headers["x-grammage-gco2e"]) > float(raw.headers["x-grammage-gco2e"])


@recipe("no-visuals-for-mock-ups")
def test_no_picture_is_generated_for_a_mock_up(made: Proxy, provider: ScriptedUpstream) -> None:
    for headers in ({}, {"x-grammage-policy": "off"}, {"x-grammage-alternative": "decline"}, {"x-grammage-alternative": "accept"}):
        with pytest.raises(openai.ConflictError) as refused:
            draw(made, {**tags(purpose="mock-up"), **headers})
        assert refused.value.code == "alternative_offered"
        assert "https://intranet.example/wireframes" in refused.value.message
        assert refused.value.response.headers["x-grammage-alternative"] == "elsewhere:wireframe-kit"
    assert provider.received == []
    assert made.calls() == []
    assert counted(made, "grammage_policy_decisions_total", policy="no-visuals-for-mock-ups", action="offered") == 4
    untouched(made, draw(made, tags(purpose="campaign")))
    untouched(made, write(made, "writer", headers=tags(purpose="mock-up")))


@recipe("resize-not-regenerate")
def test_a_banner_is_cut_and_a_card_filled_in(made: Proxy, provider: ScriptedUpstream) -> None:
    raw = draw(made, tags(stage="banner", asset="hero"), size="640x160")
    picture = Image.open(io.BytesIO(base64.b64decode(raw.parse().data[0].b64_json)))
    assert (picture.size, provider.received) == ((640, 160), [])
    record = told(made, raw, policy="banners-are-cut", action="alternative", reason="baseline_forecast")
    assert (record["instead"]["kind"], record["instead"]["ref"]) == ("crop", "banners")
    lower(record)
    card = write(made, "writer", headers={**tags(stage="card"), "x-grammage-fields": '{"name": "Zoe"}'})
    assert card.parse().choices[0].message.content == "Joyeuses fêtes, Zoe !"
    assert [(row["kind"], row["ref"]) for row in rows(made, "instead")] == [("crop", "banners"), ("template", "cards")]
    with pytest.raises(openai.ConflictError) as offered:
        draw(made, tags(stage="final", campaign="noel-26"))
    assert offered.value.response.headers["x-grammage-alternative"] == "elsewhere:studio"
    assert provider.received == []
    declined = draw(made, {**tags(stage="final", campaign="noel-26"), "x-grammage-alternative": "decline"})
    told(made, declined, policy="final-visuals-exist", action="kept", reason="alternative_declined")
    with pytest.raises(openai.UnprocessableEntityError) as unsaid:
        draw(made, tags(stage="final"))
    assert unsaid.value.code == "purpose_missing"
    missing = draw(made, tags(stage="banner", asset="no-such"), size="640x160")
    told(made, missing, policy="banners-are-cut", action="kept", reason="no_such_picture")
    assert len(provider.received) == 2


@recipe("few-iterations")
def test_a_text_warns_after_three_and_a_visual_ends_at_five(made: Proxy, provider: ScriptedUpstream) -> None:
    texts = [write(made, "writer", headers=tags(asset="sheet-1")) for _ in range(4)]
    assert [raw.headers["x-grammage-iterations"] for raw in texts] == ["1/3", "2/3", "3/3", "4/3"]
    told(made, texts[-1], policy="texts-three-times", action="kept", reason="iterations_exceeded")
    assert counted(made, "grammage_iterations_exceeded_total", policy="texts-three-times") == 1
    for _ in range(5):
        draw(made, tags(asset="hero"))
    with pytest.raises(openai.ConflictError) as refused:
        draw(made, tags(asset="hero"))
    assert (refused.value.code, refused.value.response.headers["x-grammage-iterations"]) == ("iterations_exceeded", "6/5")
    assert len(made.calls()) == len(provider.received) == 9
    assert draw(made, tags(asset="other")).headers["x-grammage-iterations"] == "1/5"


@recipe("translations-reused")
def test_a_translation_is_asked_for_once(made: Proxy, provider: ScriptedUpstream) -> None:
    headers = tags(task="translation")
    first = write(made, "translator", headers=headers, temperature=0)
    told(made, first, policy="translations-reused", action="kept")
    until(lambda: counted(made, "grammage_reuse_total", policy="translations-reused", result="stored") or None)
    again = write(made, "translator", headers=headers, temperature=0)
    assert len(provider.received) == 1
    assert (again.headers["x-grammage-reused"], again.headers["x-grammage-gco2e"]) == (first.headers["x-grammage-call-id"], "0")
    record = made.get(f"/v1/footprint/{again.headers['x-grammage-call-id']}").json
    assert (record["gco2e"], record["attempts"], record["instead"]["kind"]) == (0, [], "reuse")
    (row,) = rows(made, "instead")
    assert row["source_call_id"] == first.headers["x-grammage-call-id"]
    assert counted(made, "grammage_reuse_total", policy="translations-reused", result="hit") == 1
    for _ in range(2):
        assert "x-grammage-reused" not in write(made, "translator", headers=tags(task="slogan"), temperature=0).headers
    assert len(provider.received) == 3


TIGHT = [
    {"name": "noel-26-texts", "match": {"campaign": "noel-26", "medium": "text"}, "limit_kgco2e": 1e-6, "on_exceed": "route_smallest"},
    {"name": "noel-26-visuals", "match": {"campaign": "noel-26", "medium": "visual"}, "limit_kgco2e": 1e-6, "on_exceed": "refuse"},
]
"""The recipe's budgets, so small that the first call is beyond them."""


@recipe("campaign-budget", budgets=[{**TIGHT[0], "smallest": ["small"]}, TIGHT[1]])
def test_a_campaign_at_its_end_goes_small_and_draws_no_more(made: Proxy, provider: ScriptedUpstream) -> None:
    raw = write(made, "large", headers=tags(campaign="noel-26", medium="text"))
    lower(told(made, raw, policy="budget:noel-26-texts", action="routed"))
    assert (sent(provider)["model"], raw.headers["x-grammage-budget"].split("; ")[0]) == ("gpt-4o-mini", "noel-26-texts")
    assert counted(made, "grammage_budget_exceeded_calls_total", budget="noel-26-texts", action="route_smallest") == 1
    with pytest.raises(openai.APIStatusError) as refused:
        draw(made, tags(campaign="noel-26", medium="visual"))
    assert (refused.value.status_code, refused.value.code) == (402, "carbon_budget_exceeded")
    assert "noel-26-visuals" in refused.value.message
    assert len(provider.received) == 1


@recipe("campaign-budget")
def test_a_campaign_within_its_budget_is_counted_and_says_what_it_is_for(made: Proxy, provider: ScriptedUpstream) -> None:
    raw = write(made, "large", headers=tags(campaign="noel-26", medium="text"))
    record = told(made, raw, policy="campaigns-say-what-they-are-for", action="kept")
    assert record["purpose"] == "Product sheets and visuals of the Christmas range"
    assert (sent(provider)["model"], "x-grammage-budget" in raw.headers) == ("gpt-4o", False)
    for name in ("noel-26-texts", "house"):
        used = until(lambda name=name: counted(made, "grammage_budget_used_grams", budget=name) or None)  # type: ignore[misc]  # bound now
        assert used == pytest.approx(record["gco2e"], abs=0.001)
    assert counted(made, "grammage_budget_limit_grams", budget="noel-26-texts") == 4000
    with pytest.raises(openai.UnprocessableEntityError) as unsaid:
        write(made, "large", headers=tags(campaign="black-friday", medium="text"))
    assert unsaid.value.code == "purpose_missing"
    assert len(provider.received) == 1
