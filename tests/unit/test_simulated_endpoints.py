"""The simulated provider's further endpoints without a socket: what they refuse, what they count, and the faults that reach them all."""

import asyncio
import base64
import json
from typing import Any

import pytest

from config.tables import load_tables
from proxy.clock import Clock
from proxy.simulate import sound
from proxy.simulate.endpoints.sampling import MODELS
from proxy.simulate.exchange import Answered, Asked, Cut
from proxy.simulate.picture import draw
from proxy.simulate.provider import SimulatedProvider

CATALOGUE = load_tables().catalogue
PNG = draw("input", 1024, 512)
WAV = sound.wav("input", 2.0)
EDGE = "multipart/form-data; boundary=edge"


def form(**fields: str | bytes) -> bytes:
    """A form; bytes are files."""
    parts = []
    for name, value in fields.items():
        file = "; filename=f" if isinstance(value, bytes) else ""
        content = value if isinstance(value, bytes) else value.encode()
        parts.append(f"--edge\r\ncontent-disposition: form-data; name={name}{file}\r\n\r\n".encode() + content + b"\r\n")
    return b"".join(parts) + b"--edge--\r\n"


def ask(path: str, body: dict[str, Any] | bytes | None = None, *, provider: SimulatedProvider | None = None, **more: Any) -> Answered:
    """One answer. A dict is sent as JSON, bytes as a form."""
    query = path.partition("?")[2]
    headers = {"content-type": EDGE if isinstance(body, bytes) else "application/json", **more.pop("headers", {})}
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    method = more.pop("method", "GET" if body is None else "POST")
    asked = Asked(method=method, path="/v1/" + path.partition("?")[0], headers=headers, body=content, query=query)
    return (provider or SimulatedProvider(clock=Clock())).answer(asked)


def read(answered: Answered) -> bytes:
    body = answered.body
    if isinstance(body, bytes):
        return body

    async def whole() -> bytes:
        return b"".join([part async for part in body])

    return asyncio.run(whole())


def json_of(answered: Answered) -> Any:
    return json.loads(read(answered))


def events_of(answered: Answered) -> list[Any]:
    return [json.loads(line[6:]) for line in read(answered).decode().splitlines() if line.startswith("data: {")]


def header(answered: Answered, name: str) -> str:
    return dict(answered.headers)[name.encode()].decode()


CALLS: dict[str, tuple[str, dict[str, Any] | bytes]] = {
    "responses": ("responses", {"model": "sim-large", "input": "tea"}),
    "images": ("images/generations", {"model": "sim-image-tokens", "prompt": "tea"}),
    "edits": ("images/edits", form(model="sim-image-tokens", prompt="tea", image=PNG)),
    "variations": ("images/variations", form(model="sim-image", image=PNG)),
    "speech": ("audio/speech", {"model": "sim-speech", "input": "tea", "voice": "any"}),
    "transcriptions": ("audio/transcriptions", form(model="sim-transcribe", file=WAV)),
    "translations": ("audio/translations", form(model="sim-transcribe", file=WAV)),
    "moderations": ("moderations", {"model": "sim-moderate", "input": "tea"}),
}
STREAMS: dict[str, tuple[str, dict[str, Any] | bytes]] = {
    "responses": ("responses", {"model": "sim-large", "input": "tea", "stream": True}),
    "images": ("images/generations", {"model": "sim-image-tokens", "prompt": "tea", "stream": True, "partial_images": 2}),
    "edits": ("images/edits", form(model="sim-image-tokens", prompt="tea", image=PNG, stream="true", partial_images="2")),
    "speech": ("audio/speech", {"model": "sim-speech", "input": "tea", "voice": "any", "stream_format": "sse"}),
    "transcriptions": ("audio/transcriptions", form(model="sim-transcribe-tokens", file=WAV, stream="true")),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_answer_says_that_it_is_simulated_and_comes_again_the_same(name: str) -> None:
    path, body = CALLS[name]
    first, second = (ask(path, body) for _ in range(2))
    assert (first.status, header(first, "x-simulated")) == (200, "true")
    stable = {"id", "created", "created_at", "completed_at", "output"}
    if header(first, "content-type") == "application/json":
        one, two = ({key: value for key, value in json_of(answer).items() if key not in stable} for answer in (first, second))
        assert one == two
    else:
        assert read(first) == read(second)


@pytest.mark.parametrize("name", CALLS)
def test_ordered_errors_reach_every_endpoint(name: str) -> None:
    path, body = CALLS[name]
    limited = ask(path, body, headers={"x-simulate-fault": "429=3"})
    assert (limited.status, header(limited, "retry-after")) == (429, "3")
    assert ask(path, body, headers={"x-simulate-fault": "500"}).status == 500


@pytest.mark.parametrize("name", CALLS)
def test_a_cut_in_the_middle_of_any_body_is_a_cut(name: str) -> None:
    path, body = CALLS[name]
    with pytest.raises(Cut):
        read(ask(path, body, headers={"x-simulate-fault": "cut"}))


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_breaks_where_it_is_ordered_to(name: str) -> None:
    path, body = STREAMS[name]
    with pytest.raises(Cut):
        read(ask(path, body, headers={"x-simulate-fault": "cut=1"}))
    with pytest.raises(json.JSONDecodeError):
        events_of(ask(path, body, headers={"x-simulate-fault": "malformed-chunk"}))


@pytest.mark.parametrize("name", STREAMS)
def test_usage_stands_on_the_last_event_alone_and_goes_when_it_is_ordered_away(name: str) -> None:
    path, body = STREAMS[name]

    def usages(fault: str) -> list[Any]:
        found = events_of(ask(path, body, headers={"x-simulate-fault": fault}))
        return [event.get("response", event).get("usage") for event in found]

    *before, last = usages("slow-first-byte=1")
    assert set(before) <= {None}
    assert last["total_tokens"] > 0
    assert set(usages("no-usage")) == {None}


@pytest.mark.parametrize(("name", "named", "done"), [("responses", 1, 0), ("images", 1, 0), ("speech", 0, 0), ("transcriptions", 0, 1)])
def test_a_stream_is_framed_as_its_endpoint_frames_it(name: str, named: int, done: int) -> None:
    body = read(ask(*STREAMS[name])).decode()
    assert body.endswith("data: [DONE]\n\n") is bool(done)
    assert ("event: " in body) is bool(named)
    if named:
        for frame in body.strip().split("\n\n"):
            first, second = frame.split("\n")
            assert first == "event: " + json.loads(second[6:])["type"]


def test_models_that_report_no_tokens_do_not_and_others_count_by_size_and_quality() -> None:
    def usage(**more: Any) -> Any:
        return json_of(ask("images/generations", {"prompt": "a blue shoe", **more})).get("usage")

    assert usage(model="sim-image") is None
    assert usage() is None
    assert usage(model="dall-e-3", quality="hd") is None
    sizes = ("1024x1024", "1024x1536", "1536x1024")
    counted = [
        [usage(model="sim-image-tokens", quality=quality, size=size)["output_tokens"] for size in sizes]
        for quality in ("low", "medium", "high")
    ]
    assert counted == [[272, 408, 400], [1056, 1584, 1568], [4160, 6240, 6208]]
    assert usage(model="gpt-image-1", n=3, quality="low")["output_tokens"] == 3 * 272
    assert usage(model="gpt-image-1")["input_tokens_details"] == {"image_tokens": 0, "text_tokens": 3}


def test_partial_pictures_cost_a_hundred_tokens_each_and_grow_finer() -> None:
    events = events_of(ask(*STREAMS["images"]))
    assert [event["type"].rpartition(".")[2] for event in events] == ["partial_image", "partial_image", "completed"]
    assert [event.get("partial_image_index") for event in events] == [0, 1, None]
    assert events[-1]["usage"]["output_tokens"] == 1056 + 200
    lengths = [len(event["b64_json"]) for event in events]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) == 3


def test_input_pictures_are_counted_from_a_form_and_from_json_alike() -> None:
    link = {"image_url": "data:image/png;base64," + base64.b64encode(PNG).decode()}
    by_form = json_of(ask(*CALLS["edits"]))["usage"]
    by_json = json_of(ask("images/edits", {"model": "sim-image-tokens", "prompt": "tea", "images": [link]}))["usage"]
    assert by_form == by_json
    assert by_form["input_tokens_details"]["image_tokens"] == 65 + 129 * 2


def test_a_picture_is_drawn_again_at_its_address() -> None:
    body = {"model": "sim-image", "prompt": "tea", "size": "256x128", "n": 2}
    there = json_of(ask("images/generations", body, headers={"host": "sim.test:9100"}))
    urls = [item["url"] for item in there["data"]]
    assert all(url.startswith("http://sim.test:9100/v1/simulate/images/") for url in urls)
    bare = json_of(ask("images/generations", body))
    inline = json_of(ask("images/generations", {**body, "response_format": "b64_json"}))
    for url, data_url, item in zip(urls, bare["data"], inline["data"], strict=True):
        picture = ask(url.partition("/v1/")[2])
        assert header(picture, "content-type") == "image/png"
        assert read(picture) == base64.b64decode(item["b64_json"])
        assert data_url["url"] == "data:image/png;base64," + item["b64_json"]
    assert ask("simulate/images/nothing.png").status == 404
    assert ask(f"simulate/images/{'0' * 32}-9999x16.png").status == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("images/generations", {"model": "sim-image"}),
        ("images/generations", {"model": "sim-image", "prompt": "x", "n": 11}),
        ("images/generations", {"model": "sim-image", "prompt": "x", "size": "8x8"}),
        ("images/generations", {"model": "sim-image", "prompt": "x", "stream": True}),
        ("images/generations", {"model": "sim-image-tokens", "prompt": "x", "stream": True, "n": 2}),
        ("images/generations", {"model": "sim-image-tokens", "prompt": "x", "output_format": "webp"}),
        ("images/generations", {"model": "sim-image-tokens", "prompt": "x", "quality": "best"}),
        ("images/edits", form(model="sim-image", prompt="x")),
        ("images/edits", form(model="sim-image", prompt="x", image=b"no picture")),
        ("images/edits", {"model": "sim-image", "prompt": "x", "images": [{"image_url": "https://example.com/a.png"}]}),
        ("images/edits", {"model": "sim-image", "prompt": "x", "images": [{"image_url": "data:image/png;base64,é"}]}),
        ("images/variations", {"model": "sim-image"}),
        ("audio/speech", {"model": "sim-speech", "voice": "any", "input": ""}),
        ("audio/speech", {"model": "sim-speech", "voice": "any", "input": "x" * 4097}),
        ("audio/speech", {"model": "sim-speech", "input": "x"}),
        ("audio/speech", {"model": "sim-speech", "voice": "any", "input": "x", "response_format": "opus"}),
        ("audio/speech", {"model": "sim-speech", "voice": "any", "input": "x", "speed": 9}),
        ("audio/transcriptions", form(model="sim-transcribe")),
        ("audio/transcriptions", form(model="sim-transcribe", file=b"")),
        ("audio/transcriptions", form(model="sim-transcribe-tokens", file=WAV, response_format="srt")),
        ("audio/translations", form(model="sim-transcribe", file=WAV, response_format="docx")),
        ("moderations", {"input": [1]}),
        ("responses", {"model": "sim-large", "input": 7}),
        ("responses", {"model": "sim-large", "input": "x", "previous_response_id": "resp_gone"}),
    ],
)
def test_what_cannot_be_done_is_refused_in_the_envelope(path: str, body: dict[str, Any] | bytes) -> None:
    refused = ask(path, body)
    assert refused.status == 400
    assert json_of(refused)["error"]["message"].startswith("Simulated: ")


def test_a_transcript_reports_seconds_or_tokens_as_its_model_does() -> None:
    by_seconds = json_of(ask(*CALLS["transcriptions"]))["usage"]
    by_tokens = json_of(ask("audio/transcriptions", form(model="gpt-4o-transcribe", file=WAV, prompt="tea time")))["usage"]
    assert by_seconds == {"type": "duration", "seconds": 2}
    assert by_tokens["input_token_details"] == {"audio_tokens": 20, "text_tokens": 2}
    assert by_tokens["total_tokens"] == by_tokens["input_tokens"] + by_tokens["output_tokens"]
    assert "usage" not in json_of(ask(*CALLS["translations"]))


@pytest.mark.parametrize("form_name", ["text", "srt", "vtt"])
def test_subtitles_are_plain_text_and_carry_no_usage(form_name: str) -> None:
    answered = ask("audio/transcriptions", form(model="sim-transcribe", file=WAV, response_format=form_name, stream="true"))
    assert header(answered, "content-type") == "text/plain; charset=utf-8"
    assert b"usage" not in read(answered)


def test_a_text_is_flagged_for_the_categories_it_names() -> None:
    answered = json_of(ask("moderations", {"input": ["tea", "Violence sells"]}))
    tea, named = answered["results"]
    assert answered["model"] == "sim-moderate"
    assert (tea["flagged"], named["flagged"]) == (False, True)
    assert [name for name, held in named["categories"].items() if held] == ["violence"]
    assert max(tea["category_scores"].values()) < 0.01
    parts = [{"type": "text", "text": "tea"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    (both,) = json_of(ask("moderations", {"input": parts}))["results"]
    assert both["category_applied_input_types"]["violence"] == ["text", "image"]
    assert both["category_applied_input_types"]["hate"] == ["text"]


def test_a_response_streams_every_event_in_order_without_a_gap() -> None:
    events = events_of(ask(*STREAMS["responses"]))
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert kinds[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert kinds[-4:] == ["output_text.done", "content_part.done", "output_item.done", "completed"]
    assert set(kinds[4:-4]) == {"output_text.delta"}
    final = events[-1]["response"]
    text = "".join(event["delta"] for event in events if event["type"].endswith("text.delta"))
    assert final["output"][0]["content"][0]["text"] == text
    assert final["usage"]["output_tokens"] == len(kinds) - 8
    assert events[0]["response"]["status"] == "in_progress"
    assert events[0]["response"]["output"] == []


def test_a_response_is_the_chat_it_amounts_to() -> None:
    chat = json_of(ask("chat/completions", {"model": "sim-large", "messages": [{"role": "user", "content": "Explain tea"}]}))
    same = json_of(
        ask("responses", {"model": "sim-large", "input": [{"role": "user", "content": [{"type": "input_text", "text": "Explain tea"}]}]})
    )
    assert same["output"][0]["content"][0]["text"] == chat["choices"][0]["message"]["content"]
    assert same["usage"]["input_tokens"] == chat["usage"]["prompt_tokens"]
    assert same["usage"]["output_tokens"] == chat["usage"]["completion_tokens"]


def test_a_response_that_reaches_its_limit_is_incomplete() -> None:
    short = json_of(ask("responses", {"model": "sim-large", "input": "tea", "max_output_tokens": 5}))
    assert (short["status"], short["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert short["usage"]["output_tokens"] == 5
    thought = json_of(ask("responses", {"model": "sim-reasoning", "input": "tea", "max_output_tokens": 200}))
    assert [item["type"] for item in thought["output"]] == ["reasoning"]
    assert thought["usage"]["output_tokens_details"] == {"reasoning_tokens": 200}
    streamed = events_of(ask("responses", {"model": "sim-large", "input": "tea", "max_output_tokens": 5, "stream": True}))
    assert streamed[-1]["type"] == "response.incomplete"


def test_pictures_and_searches_of_a_response_are_told_apart_from_its_usage() -> None:
    tools = [{"type": "image_generation", "quality": "low"}, {"type": "web_search"}]
    plain = json_of(ask("responses", {"model": "sim-large", "input": "tea"}))
    drawn = json_of(ask("responses", {"model": "sim-large", "input": "tea", "tools": tools}))
    assert "tool_usage" not in plain
    assert [item["type"] for item in drawn["output"]] == ["web_search_call", "image_generation_call", "message"]
    assert base64.b64decode(drawn["output"][1]["result"]).startswith(b"\x89PNG")
    assert drawn["usage"]["output_tokens"] == plain["usage"]["output_tokens"]
    assert drawn["tool_usage"]["image_gen"]["output_tokens"] == 272
    assert drawn["tool_usage"]["web_search"] == {"num_requests": 1}


def test_an_answer_in_the_background_is_complete_the_second_time_it_is_asked_for() -> None:
    provider = SimulatedProvider(clock=Clock())
    queued = json_of(ask("responses", {"model": "sim-large", "input": "tea", "background": True}, provider=provider))
    path = "responses/" + queued["id"]
    working, whole, again = (json_of(ask(path, provider=provider)) for _ in range(3))
    assert [(one["status"], one["usage"] is None) for one in (queued, working)] == [("queued", True), ("in_progress", True)]
    assert (whole["status"], whole["usage"]["output_tokens"] > 0) == ("completed", True)
    assert again == whole
    assert ask(path + "/cancel", {}, provider=provider).status == 400


def test_a_stream_is_taken_up_again_after_any_number() -> None:
    provider = SimulatedProvider(clock=Clock())
    body = {"model": "sim-large", "input": "tea", "background": True, "stream": True}
    first = events_of(ask("responses", body, provider=provider))
    assert [event["type"] for event in first[:3]] == ["response.created", "response.queued", "response.in_progress"]
    path = f"responses/{first[0]['response']['id']}?stream=true&starting_after=4"
    assert events_of(ask(path, provider=provider)) == first[5:]


def test_an_answer_in_the_background_can_be_cancelled_and_deleted() -> None:
    provider = SimulatedProvider(clock=Clock())
    queued = json_of(ask("responses", {"model": "sim-large", "input": "tea", "background": True}, provider=provider))
    path = "responses/" + queued["id"]
    cancelled = json_of(ask(path + "/cancel", {}, provider=provider))
    assert (cancelled["status"], cancelled["usage"]) == ("cancelled", None)
    assert json_of(ask(path, provider=provider))["status"] == "cancelled"
    assert json_of(ask(path, provider=provider, method="DELETE"))["deleted"] is True
    assert ask(path, provider=provider).status == 404


def test_a_response_that_is_not_stored_is_not_found_and_one_that_goes_on_carries_its_tokens() -> None:
    provider = SimulatedProvider(clock=Clock())
    body = {"model": "sim-large", "input": "tea"}
    unkept = json_of(ask("responses", {**body, "store": False}, provider=provider))
    assert ask("responses/" + unkept["id"], provider=provider).status == 404
    first = json_of(ask("responses", body, provider=provider))
    second = json_of(ask("responses", {**body, "previous_response_id": first["id"]}, provider=provider))
    assert second["usage"]["input_tokens"] == first["usage"]["input_tokens"] + first["usage"]["total_tokens"]
    assert second["previous_response_id"] == first["id"]


def test_counting_and_compaction_agree_on_the_tokens_asked() -> None:
    body = {"model": "sim-large", "input": "tea " * 500, "instructions": "be short"}
    counted = json_of(ask("responses/input_tokens", body))["input_tokens"]
    assert counted == json_of(ask("responses", body))["usage"]["input_tokens"]
    short = json_of(ask("responses/compact", body))
    assert short["object"] == "response.compaction"
    assert [item["type"] for item in short["output"]] == ["message", "compaction"]
    assert short["usage"]["input_tokens"] == counted
    assert short["usage"]["output_tokens"] == counted // 10


@pytest.mark.parametrize("endpoint", [None, "/v1/audio/speech", {}, []])
def test_a_batch_for_what_is_no_endpoint_is_refused(endpoint: object) -> None:
    assert ask("batches", {"endpoint": endpoint, "input_file_id": "file-1"}).status == 400


@pytest.mark.parametrize("model", MODELS)
def test_every_simulated_model_is_weighed_as_an_open_model(model: str) -> None:
    found = CATALOGUE.resolve(model)
    assert found.match == "alias"
    assert found.card.open_weights
