"""The simulated provider without a socket: its texts, its JSON instances, its faults, its door."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.clock import Clock
from proxy.errors import UpstreamUnreachable
from proxy.simulate.app import create_simulated_provider
from proxy.simulate.door import SimulatedReply, SimulatedUpstream
from proxy.simulate.exchange import Asked
from proxy.simulate.faults import Faults
from proxy.simulate.framing import split_inside
from proxy.simulate.instance import Filling, instance_of
from proxy.simulate.provider import SimulatedProvider
from proxy.simulate.tokens import count, pieces
from proxy.upstream.base import UpstreamRequest

FACTS = "Product: Ridge 3\nMaterial: recycled polyester mesh\nWeight: 280 g\nColours: black, sand\nPrice: £115"


def chat(**more: object) -> dict[str, object]:
    return {"model": "sim-large", "messages": [{"role": "user", "content": FACTS}], **more}


def test_instance_honours_bounds_references_and_recursion() -> None:
    node = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}
    schema = {
        "$defs": {"node": node},
        "type": "object",
        "properties": {
            "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "even": {"type": "integer", "minimum": 3, "multipleOf": 2},
            "pair": {"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 2, "maxItems": 2},
            "short": {"type": "string", "maxLength": 3},
            "kind": {"const": "sheet"},
            "tree": {"$ref": "#/$defs/node"},
        },
    }
    made = instance_of(schema, Filling(text="filling", named={}, lists={}))
    assert isinstance(made, dict)
    assert 0 < made["share"] < 1
    assert made["even"] == 4
    assert made["pair"] == ["x", "x"]
    assert made["short"] == "fil"
    assert made["kind"] == "sheet"
    assert set(made["tree"]) == {"next"}


def test_split_never_leaves_a_multi_byte_character_whole() -> None:
    parts = split_inside("é—🏔 a".encode())
    assert b"".join(parts) == "é—🏔 a".encode()
    assert len(parts) == 4
    assert split_inside(b"abcd") == [b"ab", b"cd"]


@pytest.mark.parametrize("text", ["", "  two  spaces\n\nand_lines…", "日本語のテキスト", "🏔️é" * 3, FACTS])
def test_pieces_join_to_the_text_and_are_its_tokens(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert count(text) == len(pieces(text))


def request(body: object, *headers: tuple[bytes, bytes]) -> UpstreamRequest:
    return UpstreamRequest(
        method="POST",
        url="simulated://local/v1/chat/completions",
        path="/v1/chat/completions?beta=true",
        headers=[(b"content-type", b"application/json"), *headers],
        body=json.dumps(body).encode(),
    )


async def read(reply: SimulatedReply) -> bytes:
    return b"".join([part async for part in reply.chunks()])


async def test_door_answers_like_the_provider_without_a_socket() -> None:
    reply = await SimulatedUpstream(clock=Clock()).send(request(chat()))
    whole = await reply.read()
    asked = Asked(method="POST", path="/v1/chat/completions", headers={}, body=json.dumps(chat()).encode())
    answered = SimulatedProvider(clock=Clock()).answer(asked)
    assert isinstance(answered.body, bytes)
    assert reply.status == 200
    assert dict(reply.headers)[b"x-simulated"] == b"true"
    assert dict(reply.headers)[b"content-length"] == str(len(whole)).encode()
    assert json.loads(whole)["choices"] == json.loads(answered.body)["choices"]


async def test_door_raises_upstream_broke_when_cut() -> None:
    reply = await SimulatedUpstream(clock=Clock()).send(request(chat(stream=True), (b"x-simulate-fault", b"cut")))
    with pytest.raises(UpstreamUnreachable) as caught:
        await read(reply)
    assert caught.value.code == "upstream_broke"


async def test_faults_object_runs_its_script_then_its_rule() -> None:
    door = SimulatedUpstream(clock=Clock(), faults=Faults(script=["500", ""], always="401"))
    statuses = [(await door.send(request(chat()))).status for _ in range(4)]
    assert statuses == [500, 200, 401, 401]


async def test_door_takes_a_streamed_request_body() -> None:
    async def parts() -> AsyncIterator[bytes]:
        whole = json.dumps(chat()).encode()
        yield whole[:10]
        yield whole[10:]

    sent = UpstreamRequest(method="POST", url="", path="/v1/chat/completions", headers=[], body=parts())
    assert (await SimulatedUpstream(clock=Clock()).send(sent)).status == 200


async def test_stalled_stream_ends_when_the_client_leaves() -> None:
    app = create_simulated_provider(clock=Clock())
    sent: list[str] = []
    second_event = asyncio.Event()
    body = json.dumps(chat(stream=True)).encode()
    inbox = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, object]:
        if inbox:
            return dict(inbox.pop())
        await second_event.wait()
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message["type"])
        if len(sent) == 3:
            second_event.set()

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": [(b"x-simulate-fault", b"stall=2")]}
    async with asyncio.timeout(10):
        await app(scope, receive, send)
    assert sent == ["http.response.start", "http.response.body", "http.response.body"]
    assert app.left == 1


SCALARS = st.none() | st.booleans() | st.integers(-3, 40) | st.floats(allow_nan=False) | st.text(max_size=6) | st.just("json_schema")
KEYWORDS = (
    "role content image_generation web_search effort format image_url type function json_schema schema properties required $ref anyOf enum "
    "items minItems minimum x"
)
FIELDS = (
    "messages model tools tool_choice response_format n stop max_tokens stream stream_options input prompt seed instructions reasoning "
    "text background store previous_response_id size quality images partial_images voice speed stream_format"
)
PATHS = (
    "chat/completions",
    "completions",
    "embeddings",
    "responses",
    "responses/compact",
    "responses/input_tokens",
    "moderations",
    "images/generations",
    "images/edits",
    "audio/speech",
)
NAMES = st.sampled_from(KEYWORDS.split())
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12)
BODIES = st.dictionaries(st.sampled_from(FIELDS.split()), JSON, max_size=5)


@settings(max_examples=300, deadline=None)
@given(path=st.sampled_from(PATHS), odd=BODIES)
def test_no_body_however_odd_makes_the_provider_fail(path: str, odd: dict[str, object]) -> None:
    body = json.dumps({**chat(), "input": "tea", "prompt": "tea", "voice": "any", **odd}).encode()
    answered = SimulatedProvider(clock=Clock()).answer(Asked(method="POST", path="/v1/" + path, headers={}, body=body))
    assert answered.status in (200, 400, 404)


PARTS = st.lists(
    st.tuples(
        st.sampled_from(["", "name", "name=", 'name="file"', 'name="file"; filename="a"', "name=file; filename*=UTF-8''%e2%82", "name=n"]),
        st.binary(max_size=40) | st.sampled_from([b"RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00", b"2", b"sim-transcribe"]),
    ),
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(
    parts=PARTS, end=st.sampled_from([b"--edge--\r\n", b"--edge", b"", b"\r\n"]), path=st.sampled_from(["transcriptions", "translations"])
)
def test_no_form_however_odd_makes_the_provider_fail(parts: list[tuple[str, bytes]], end: bytes, path: str) -> None:
    model = b'--edge\r\ncontent-disposition: form-data; name="model"\r\n\r\nsim-transcribe\r\n'
    written = [f"--edge\r\ncontent-disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n" for head, content in parts]
    headers = {"content-type": "multipart/form-data; boundary=edge"}
    asked = Asked(method="POST", path="/v1/audio/" + path, headers=headers, body=b"".join([model, *written, end]))
    assert SimulatedProvider(clock=Clock()).answer(asked).status in (200, 400)


def test_recursive_schema_ends_in_a_valid_instance() -> None:
    again = {"$ref": "#/$defs/node"}
    properties = {"next": {"anyOf": [again, {"type": "null"}]}, "kids": {"type": "array", "items": again}}
    node = {"type": "object", "properties": properties, "required": ["next", "kids"]}
    made = instance_of({"$defs": {"node": node}, "$ref": "#/$defs/node"}, Filling(text="x", named={}, lists={}))
    levels = 0
    while made is not None:
        assert isinstance(made, dict)
        assert set(made) == {"next", "kids"}
        made, levels = made["next"], levels + 1
    assert 0 < levels < 20
