"""Other ways than a model: offered and run with the real openai client, in every shape, and what ledger, record and metrics say of them."""

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

from tests.contract.ledger_rows import in_order, plain
from tests.contract.proxy_harness import KEY, Proxy, ask, proxy, serve_command, until
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream
from tests.contract.test_policies import OK, at, counted, decisions

GREETING = "Joyeuses fêtes, {name} ! À bientôt à {city}."
FILLED = "Joyeuses fêtes, Zoé ! À bientôt à Lyon."
MEMORY = "source,target,market\nHello   world,Bonjour le monde,fr\nHello world,Hallo Welt,de\nThanks,Merci,fr\nThanks,Danke,\n"


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


@contextlib.contextmanager
def house(folder: Path, upstream: ScriptedUpstream, *policies: dict[str, Any], **sections: Any) -> Iterator[Proxy]:
    upstream.answers(*OK)
    upstream.received.clear()
    models = {"large": {"deployments": [at(upstream.url, "gpt-4o")]}, "visuals": {"deployments": [at(upstream.url, "gpt-image-1")]}}
    alternatives = {
        "greetings": {"kind": "template", "text": GREETING},
        "seen": {"kind": "memory", "file": str(memory_in(folder))},
        "sizes": {"kind": "resize", "folder": str(pictures_in(folder))},
        "banners": {"kind": "crop", "folder": str(pictures_in(folder)), "format": "jpeg"},
        "print-shop": {"kind": "elsewhere", "text": "The print shop has last year's masters.", "url": "https://intranet.example/masters"},
    }
    with proxy(folder, models=models, policies=list(policies), alternatives=alternatives, **sections) as made:
        yield made


def memory_in(folder: Path) -> Path:
    path = folder / "memory.csv"
    path.write_text(MEMORY, encoding="utf-8")
    return path


def pictures_in(folder: Path) -> Path:
    found = folder / "visuals"
    if not found.exists():
        found.mkdir()
        Image.new("RGBA", (800, 600), (200, 30, 30, 120)).save(found / "hero.png")
        Image.new("RGB", (64, 64), "blue").save(folder / "outside.png")
        (found / "broken.png").write_bytes((found / "hero.png").read_bytes()[:60])
        (found / "leads-out.png").symlink_to(folder / "outside.png")
    return found


def policy(ref: str, **more: Any) -> dict[str, Any]:
    mode = more.pop("run", "offer")
    return {"name": "worth", "mode": "enforce", "alternative": {"ref": ref, "mode": mode}, **more}


CLIENTS: list[openai.OpenAI] = []


@pytest.fixture(autouse=True)
def _closing() -> Iterator[None]:
    yield
    while CLIENTS:
        CLIENTS.pop().close()


def client(made: Proxy) -> openai.OpenAI:
    """A client with its usual two retries."""
    CLIENTS.append(openai.OpenAI(base_url=made.v1, api_key=KEY))
    return CLIENTS[-1]


def chat(made: Proxy, text: str = "Hello world", **more: Any) -> Any:
    headers = more.pop("headers", {})
    return client(made).chat.completions.create(model="large", messages=[{"role": "user", "content": text}], extra_headers=headers, **more)


def rows(made: Proxy, table: str) -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(f"file:{made.ledger}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        return [plain(row) for row in database.execute(in_order(table))]


def test_an_offer_is_told_once_and_what_the_caller_says_to_it_is_done(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, policy("greetings")) as made:
        with pytest.raises(openai.ConflictError) as refused:
            chat(made)
        assert refused.value.code == "alternative_offered"
        assert "policy 'worth' offers template 'greetings'" in refused.value.message
        assert "x-grammage-alternative: accept, with x-grammage-fields as a JSON object that has name, city" in refused.value.message
        assert "x-grammage-alternative: decline to go on to the model" in refused.value.message
        assert refused.value.response.headers["x-should-retry"] == "false"
        assert refused.value.response.headers["x-grammage-alternative"] == "template:greetings"
        assert counted(made, "grammage_policy_decisions_total", action="offered", policy="worth") == 1, "the client must not try again"
        assert upstream.received == []
        assert made.calls() == []
        foreseen = made.chat(ask(model="large"), x_grammage_dry_run="true").json["decision"]
        assert foreseen["alternative"] == {"kind": "template", "ref": "greetings", "mode": "offer"}

        raw = client(made).chat.completions.with_raw_response.create(
            model="large",
            messages=[{"role": "user", "content": "x"}],
            extra_headers={"x-grammage-alternative": "accept", "x-grammage-fields": '{"name": "Zo\\u00e9", "city": "Lyon"}'},
        )
        answer = raw.parse()
        assert answer.choices[0].message.content == FILLED
        assert answer.model == "grammage/template"
        assert answer.usage is not None
        assert answer.usage.total_tokens == 0
        assert raw.headers["x-grammage-alternative"] == "template:greetings"
        assert raw.headers["x-grammage-policy"] == "worth"
        assert raw.headers["x-grammage-basis"] == "final"
        assert float(raw.headers["x-grammage-gco2e"]) > 0
        assert raw.headers["x-grammage-method"] == "local@1.0.0"
        assert upstream.received == []

        assert chat(made, headers={"x-grammage-alternative": "decline"}).choices[0].message.content == "Hi"
        assert len(upstream.received) == 1
        assert "x-grammage" not in str(upstream.last.headers).lower()


def test_an_accepted_template_that_lacks_fields_names_them(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, policy("greetings")) as made:
        with pytest.raises(openai.ConflictError) as refused:
            chat(made, headers={"x-grammage-alternative": "accept", "x-grammage-fields": '{"name": "Zoe"}'})
        assert "that has city to take it" in refused.value.message
        assert upstream.received == []
        with pytest.raises(openai.BadRequestError) as wrong:
            chat(made, headers={"x-grammage-alternative": "maybe"})
        assert wrong.value.code == "invalid_header"


def test_a_locked_offer_cannot_be_declined(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, policy("print-shop", locked=True)) as made:
        for word in ("decline", "accept"):
            with pytest.raises(openai.ConflictError) as refused:
                chat(made, headers={"x-grammage-alternative": word, "x-grammage-policy": "off"})
            assert "The print shop has last year's masters. (https://intranet.example/masters)" in refused.value.message
            assert "the policy is locked" in refused.value.message
            assert "decline" not in refused.value.message
        assert upstream.received == []


def test_what_is_elsewhere_is_only_pointed_to(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, policy("print-shop")) as made:
        with pytest.raises(openai.ConflictError) as refused:
            chat(made, headers={"x-grammage-alternative": "accept"})
        assert "accept" not in refused.value.message
        assert "send the header x-grammage-alternative: decline to go on" in refused.value.message
        assert chat(made, headers={"x-grammage-alternative": "decline"}).choices[0].message.content == "Hi"


def test_a_memory_answers_where_it_can_and_else_the_model_does(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, policy("seen", run="run")) as made:
        tagged = {"x-grammage-tag-market": "fr"}
        assert chat(made, " Hello\n world ", headers=tagged).choices[0].message.content == "Bonjour le monde"
        assert chat(made, "Hello world", headers={"x-grammage-tag-market": "DE"}).choices[0].message.content == "Hallo Welt"
        assert chat(made, "Thanks", headers=tagged).choices[0].message.content == "Merci"
        assert chat(made, "Thanks").choices[0].message.content == "Danke"
        assert upstream.received == []
        assert chat(made, "Hello world").choices[0].message.content == "Hi", "without the tag nobody knows which is meant"
        assert chat(made, "hello world", headers=tagged).choices[0].message.content == "Hi"
        assert chat(made, "Thanks", n=2).choices[0].message.content == "Hi"
        assert [row["reason"] for row in decisions(made)][-3:] == ["not_in_memory", "not_in_memory", "several_asked"]
        assert chat(made, "Thanks", headers={"x-grammage-alternative": "decline"}).choices[0].message.content == "Hi"
        assert decisions(made)[-1]["reason"] == "alternative_declined"


def test_every_shape_of_text_is_answered_whole_and_as_a_stream(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, policy("greetings", run="run")) as made:
        sdk = client(made).with_options(default_headers={"x-grammage-fields": '{"name": "Zo\\u00e9", "city": "Lyon"}'})
        chunks = list(
            sdk.chat.completions.create(
                model="large", messages=[{"role": "user", "content": "x"}], stream=True, stream_options={"include_usage": True}
            )
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == FILLED
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.total_tokens == 0
        assert chunks[-1].usage.model_extra is not None
        assert chunks[-1].usage.model_extra["footprint"]["gco2e"] > 0
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices] == [None, None, "stop"]
        bare = list(sdk.chat.completions.create(model="large", messages=[{"role": "user", "content": "x"}], stream=True))
        assert len(bare) == 3
        assert all(chunk.usage is None for chunk in bare)

        assert sdk.completions.create(model="large", prompt="x").choices[0].text == FILLED
        assert "".join(chunk.choices[0].text for chunk in sdk.completions.create(model="large", prompt="x", stream=True)) == FILLED

        response = sdk.responses.create(model="large", input="x")
        assert response.output_text == FILLED
        assert response.usage is not None
        assert response.usage.total_tokens == 0
        with sdk.responses.stream(model="large", input="x") as stream:
            deltas = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
            assert deltas == FILLED
            assert stream.get_final_response().output_text == FILLED
        assert upstream.received == []
        assert {row["provider"] for row in made.calls()} == {"local-alternative"}
        assert [row["stream"] for row in made.calls()] == [1, 1, 0, 1, 0, 1]


def test_messages_are_answered_in_their_own_shape(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    anthropic = {"provider": "anthropic", "model": "claude-haiku-4-5", "api_base": f"{upstream.url}/v1", "api_key": "k"}
    body = {"model": "claude", "max_tokens": 50, "messages": [{"role": "user", "content": [{"type": "text", "text": "Thanks"}]}]}
    alternatives = {"seen": {"kind": "memory", "file": str(memory_in(tmp_path))}}
    with proxy(tmp_path, models={"claude": {"deployments": [anthropic]}}, policies=[policy("seen")], alternatives=alternatives) as made:
        offered = made.post("/v1/messages", body)
        assert offered.status == 409
        assert offered.json["type"] == "error"
        assert offered.json["error"]["message"].startswith("alternative_offered: policy 'worth' offers memory 'seen'")
        answer = made.post("/v1/messages", body, x_grammage_alternative="accept")
        assert answer.json["content"] == [{"type": "text", "text": "Danke"}]
        assert answer.json["stop_reason"] == "end_turn"
        assert answer.json["usage"]["input_tokens"] == answer.json["usage"]["output_tokens"] == 0
        assert answer.json["usage"]["footprint"]["call_id"] == answer.value("x-grammage-call-id")
        streamed = made.post("/v1/messages", {**body, "stream": True}, x_grammage_alternative="accept")
        events = [json.loads(line[6:]) for line in streamed.body.decode().splitlines() if line.startswith("data: ")]
        assert [event["type"] for event in events] == [
            "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop",
        ]  # fmt: skip
        assert events[2]["delta"]["text"] == "Danke"


def test_a_picture_that_is_there_is_resized_or_cropped(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, policy("sizes", run="run", when={"operation": "images"})) as made:
        drawn = client(made).images.generate(model="visuals", prompt="x", size="256x256", extra_headers={"x-grammage-tag-asset": "hero"})
        assert drawn.data
        assert drawn.data[0].b64_json
        assert drawn.created > 0
        picture = Image.open(io.BytesIO(base64.b64decode(drawn.data[0].b64_json)))
        assert picture.size == (256, 192)
        assert picture.format == "PNG"
        assert picture.mode == "RGBA"
        assert upstream.received == []
        (row,) = made.calls()
        assert row["model"] == "grammage/resize"
        assert row["gco2e"] > 0
    with house(tmp_path, upstream, policy("banners", run="run", when={"operation": "images"})) as made:
        answer = made.post(
            "/v1/images/generations",
            {"model": "visuals", "prompt": "x", "size": "500x100", "response_format": "url"},
            x_grammage_tag_asset="hero",
        )
        head, _, payload = answer.json["data"][0]["url"].partition(",")
        cropped = Image.open(io.BytesIO(base64.b64decode(payload)))
        assert head == "data:image/jpeg;base64"
        assert cropped.size == (500, 100)
        assert cropped.format == "JPEG"


@pytest.mark.parametrize(
    ("asset", "size", "reason"),
    [
        ("nothing", "256x256", "no_such_picture"),
        ("../outside", "256x256", "no_such_picture"),
        ("leads-out", "256x256", "no_such_picture"),
        (".hero", "256x256", "no_such_picture"),
        ("broken", "256x256", "picture_unreadable"),
        ("hero", "1024x1024", "picture_too_small"),
    ],
)
def test_a_picture_that_cannot_be_used_leaves_the_call_to_the_model(
    tmp_path: Path, upstream: ScriptedUpstream, asset: str, size: str, reason: str
) -> None:
    with house(tmp_path, upstream, policy("banners", run="run")) as made:
        answer = made.post("/v1/images/generations", {"model": "visuals", "prompt": "x", "size": size}, x_grammage_tag_asset=asset)
        assert answer.status == 200
        assert len(upstream.received) == 1
        assert decisions(made)[-1]["reason"] == reason


def test_what_a_local_answer_weighs_is_recorded_beside_the_forecast_of_what_it_stood_for(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    with house(tmp_path, upstream, policy("greetings", run="run"), server={"zone": "FR"}) as made:
        answer = made.chat(ask(model="large"), x_grammage_fields='{"name": "A", "city": "B"}', x_grammage_tag_asset="card")
        call_id = answer.value("x-grammage-call-id")
        (call,) = made.calls()
        assert call["provider"] == "local-alternative"
        assert call["served_model"] == "grammage/template"
        assert call["input_tokens"] == call["output_tokens"] == 0
        assert 0 < call["gco2e"] < 0.001
        assert rows(made, "instead") == [{"call_id": call_id, "kind": "template", "ref": "greetings", "source_call_id": None}]
        (decision,) = decisions(made)
        assert (decision["action"], decision["reason"]) == ("alternative", "baseline_forecast")
        assert decision["baseline_gco2e"] > decision["choice_gco2e"] == pytest.approx(call["gco2e"])
        record = made.get(f"/v1/footprint/{call_id}").json
        assert (record["instead"]["kind"], record["instead"]["ref"]) == ("template", "greetings")
        assert record["method"] == "local@1.0.0"
        assert record["zone"] == "FR"
        assert record["gco2e"] > 0
        assert record["decision"]["difference"]["gco2e"] < 0
        assert "forecast" in record["decision"]["difference"]["what"]
        assert counted(made, "grammage_policy_decisions_total", action="alternative", policy="worth") == 1
        assert counted(made, "grammage_requests_total", model="large", operation="chat", outcome="ok", provider="local-alternative") == 1


def test_a_policy_that_watches_says_what_it_could_have_done(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, policy("seen", run="run", mode="shadow")) as made:
        assert made.chat(ask(model="large", messages=[{"role": "user", "content": "Thanks"}])).ours["policy"] == "shadow:worth"
        made.chat(ask(model="large"))
        assert len(upstream.received) == 2
        first, second = decisions(made)
        assert (first["action"], first["reason"], first["choice_provider"]) == ("alternative", "alternative_could_answer", None)
        assert (second["action"], second["reason"]) == ("kept", "not_in_memory")
        assert rows(made, "instead") == []


def test_a_call_that_asks_for_json_gets_no_other_text(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, policy("greetings", run="run")) as made:
        made.chat(ask(model="large", response_format={"type": "json_object"}), x_grammage_fields='{"name": "A", "city": "B"}')
        assert len(upstream.received) == 1
        assert decisions(made)[-1]["reason"] == "json_asked"


def test_calls_are_held_to_a_declared_purpose(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    rule = {"name": "why", "mode": "enforce", "require": {"purpose_declared": True}, "locked": True}
    campaigns = {"noel-26": {"purpose": "Product sheets", "brand": "acme"}, "vague": {}}
    with house(tmp_path, upstream, rule, campaigns=campaigns) as made:
        for tags in ({}, {"x_grammage_tag_campaign": "vague"}, {"x_grammage_tag_campaign": "other"}):
            refused = made.chat(ask(model="large"), **tags)
            assert refused.status == 422
            assert refused.error["code"] == "purpose_missing"
            assert "x-grammage-tag-purpose" in refused.error["message"]
        assert upstream.received == []
        named = made.chat(ask(model="large"), x_grammage_tag_campaign="noel-26")
        assert named.status == 200
        assert made.chat(ask(model="large"), x_grammage_tag_purpose="trial").status == 200
        record = made.get(f"/v1/footprint/{named.value('x-grammage-call-id')}").json
        assert record["purpose"] == "Product sheets"


def test_a_changed_configuration_brings_its_alternatives(tmp_path: Path) -> None:
    config, upstream_free = tmp_path / "g.yaml", {"provider": "simulated", "model": "sim-small"}
    content: dict[str, Any] = {
        "version": 1,
        "server": {"listen": "127.0.0.1:0"},
        "models": {"large": {"deployments": [upstream_free]}},
        "alternatives": {"seen": {"kind": "memory", "file": "memory.csv"}},
        "policies": [policy("seen", run="run")],
    }
    memory_in(tmp_path)
    config.write_text(json.dumps(content))
    body = ask(model="large", messages=[{"role": "user", "content": "Thanks"}])
    with serve_command(tmp_path, "--config", str(config)) as child:
        made = child.proxy(tmp_path / "grammage.db")
        assert made.chat(body).json["choices"][0]["message"]["content"] == "Danke"
        (tmp_path / "memory.csv").write_text("source,target\nThanks,Grazie\n")
        config.write_text(json.dumps({**content, "tagging": {"body": False}}))
        until(lambda: made.chat(body).json["choices"][0]["message"]["content"] == "Grazie" or None)
        (tmp_path / "memory.csv").write_text("no,columns\n")
        config.write_text(json.dumps(content))
        until(lambda: "needs the columns source and target" in child.text or None)
        assert made.chat(body).json["choices"][0]["message"]["content"] == "Grazie", "a bad file keeps the old one"
