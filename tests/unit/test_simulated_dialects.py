"""Simulated answers in Anthropic's and Gemini's dialects: tools, thoughts, schemas, cached prompts, refusals; same seed, same text."""

import asyncio
import json
from typing import Any

import pytest

from proxy.clock import Clock
from proxy.endpoints.gemini import read_usage as read_gemini
from proxy.endpoints.messages import read_usage as read_messages
from proxy.simulate.exchange import Asked
from proxy.simulate.provider import SimulatedProvider

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TURN = {"role": "user", "content": "Where is merino from?"}
CONTENT = {"role": "user", "parts": [{"text": "Where is merino from?"}]}


def answer(path: str, body: Any, method: str = "POST", **headers: str) -> tuple[int, bytes]:
    path, _, query = path.partition("?")
    asked = Asked(method=method, path=path, headers=headers, body=json.dumps(body).encode(), query=query)
    answered = SimulatedProvider(clock=Clock()).answer(asked)
    given = answered.body
    if isinstance(given, bytes):
        return answered.status, given

    async def whole() -> bytes:
        return b"".join([part async for part in given])

    return answered.status, asyncio.run(whole())


def message(**more: Any) -> dict[str, Any]:
    status, body = answer("/v1/messages", {"model": "sim-large", "max_tokens": 500, "messages": [TURN], **more})
    assert status == 200
    found: dict[str, Any] = json.loads(body)
    return found


def generated(verb: str = "generateContent", **more: Any) -> Any:
    status, body = answer(f"/v1beta/models/sim-large:{verb}", {"contents": [CONTENT], **more})
    assert status == 200
    return json.loads(body)


def events(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: ")]


def test_the_same_question_gets_the_same_words_whole_and_streamed() -> None:
    _, streamed = answer("/v1/messages", {"model": "sim-large", "max_tokens": 500, "messages": [TURN], "stream": True})
    told = events(streamed)
    text = "".join(event["delta"]["text"] for event in told if event["type"] == "content_block_delta")
    assert text == message()["content"][0]["text"] == message()["content"][0]["text"]
    assert [event["type"] for event in told][:3] == ["message_start", "content_block_start", "ping"]
    assert [event["type"] for event in told][-3:] == ["content_block_stop", "message_delta", "message_stop"]
    parts = generated("streamGenerateContent")
    joined = "".join(part["candidates"][0]["content"]["parts"][0]["text"] for part in parts)
    assert joined == generated()["candidates"][0]["content"]["parts"][0]["text"]
    assert parts[-1]["usageMetadata"] == generated()["usageMetadata"]


def test_a_tool_is_called_and_its_answer_is_taken() -> None:
    tool = {"name": "find", "description": "finds", "input_schema": SCHEMA}
    called = message(tools=[tool])
    assert (called["stop_reason"], called["content"][0]["name"]) == ("tool_use", "find")
    assert isinstance(called["content"][0]["input"]["city"], str)
    back = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "Spain"}]}
    assert message(tools=[tool], messages=[TURN, back])["stop_reason"] == "end_turn"
    assert message(tools=[tool], tool_choice={"type": "none"})["stop_reason"] == "end_turn"
    declared = {"functionDeclarations": [{"name": "find", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}]}
    part = generated(tools=[declared], toolConfig={"functionCallingConfig": {"mode": "ANY"}})["candidates"][0]["content"]["parts"][0]
    assert part["functionCall"]["name"] == "find"
    answered = {"role": "user", "parts": [{"functionResponse": {"name": "find", "response": {"city": "Soria"}}}]}
    assert "text" in generated(tools=[declared], contents=[CONTENT, answered])["candidates"][0]["content"]["parts"][0]


def test_the_arguments_of_a_streamed_call_come_in_pieces() -> None:
    tool = {"name": "find", "input_schema": SCHEMA}
    body = {"model": "sim-large", "max_tokens": 500, "messages": [TURN], "tools": [tool], "stream": True}
    deltas = [event["delta"] for event in events(answer("/v1/messages", body)[1]) if event["type"] == "content_block_delta"]
    assert json.loads("".join(delta["partial_json"] for delta in deltas)) == message(tools=[tool])["content"][0]["input"]


def test_thoughts_are_told_and_counted() -> None:
    thought = message(thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000)
    assert [block["type"] for block in thought["content"]] == ["thinking", "text"]
    usage = read_messages(json.dumps(thought["usage"]).encode())
    assert usage is not None
    assert 0 < usage.reasoning_output_tokens < usage.output_tokens
    raw = generated(generationConfig={"thinkingConfig": {"includeThoughts": True}})["usageMetadata"]
    gemini = read_gemini(json.dumps(raw).encode())
    assert gemini is not None
    assert gemini.output_tokens == raw["candidatesTokenCount"] + raw["thoughtsTokenCount"]
    assert raw["totalTokenCount"] == gemini.input_tokens + gemini.output_tokens


def test_a_cached_prompt_stands_beside_the_input() -> None:
    system = [{"type": "text", "text": "merino " * 2000, "cache_control": {"type": "ephemeral"}}]
    usage = message(system=system)["usage"]
    assert usage["cache_read_input_tokens"] % 128 == 0 < usage["cache_read_input_tokens"]
    counted = json.loads(answer("/v1/messages/count_tokens", {"model": "sim-large", "system": system, "messages": [TURN]})[1])
    assert usage["input_tokens"] + usage["cache_read_input_tokens"] == counted["input_tokens"]


def test_structured_answers_and_limits_are_kept() -> None:
    config = {"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}}}
    said = json.loads(generated(generationConfig=config)["candidates"][0]["content"]["parts"][0]["text"])
    assert isinstance(said.get("n"), int)
    cut = generated(generationConfig={"maxOutputTokens": 3, "candidateCount": 2})
    assert [row["finishReason"] for row in cut["candidates"]] == ["MAX_TOKENS", "MAX_TOKENS"]
    assert cut["usageMetadata"]["candidatesTokenCount"] == 6
    assert message(max_tokens=3)["stop_reason"] == "max_tokens"


def test_googles_other_spelling_means_the_same() -> None:
    called = generated(
        system_instruction={"parts": [{"text": "Be brief."}]},
        generation_config={"max_output_tokens": 200},
        tools=[
            {
                "function_declarations": [
                    {"name": "look_up", "parameters": {"type": "OBJECT", "properties": {"the_city": {"type": "STRING"}}}}
                ]
            }
        ],
        tool_config={"function_calling_config": {"mode": "ANY"}},
    )
    call = called["candidates"][0]["content"]["parts"][0]["functionCall"]
    assert (call["name"], list(call["args"])) == ("look_up", ["the_city"])
    assert generated(generation_config={"max_output_tokens": 5})["usageMetadata"]["candidatesTokenCount"] == 5
    deep: Any = []
    for _ in range(400):
        deep = [deep]
    assert answer("/v1beta/models/sim-large:generateContent", {"contents": [CONTENT], "x": deep})[0] == 200


def test_vectors_and_counts() -> None:
    one = json.loads(answer("/v1/models/sim-embed:embedContent", {"content": CONTENT, "outputDimensionality": 8})[1])
    two = json.loads(
        answer("/v1/models/sim-embed:batchEmbedContents", {"requests": [{"content": CONTENT, "outputDimensionality": 8}] * 2})[1]
    )
    assert len(one["embedding"]["values"]) == 8
    assert two["embeddings"] == [one["embedding"]] * 2
    assert two["usageMetadata"]["promptTokenCount"] == 2 * one["usageMetadata"]["promptTokenCount"]
    assert generated("countTokens")["totalTokens"] == generated()["usageMetadata"]["promptTokenCount"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/messages", {"model": "sim-large", "messages": [TURN]}, 400),
        ("/v1/messages", {"model": "sim-large", "max_tokens": 5, "messages": []}, 400),
        ("/v1/messages", {"model": "sim-nope", "max_tokens": 5, "messages": [TURN]}, 404),
        ("/v1beta/models/sim-large:generateContent", {}, 400),
        ("/v1beta/models/sim-nope:generateContent", {"contents": [CONTENT]}, 404),
        ("/v1beta/models/sim-large:embedContent", {"content": {"parts": []}}, 400),
        ("/v1beta/models/sim-large:unknownVerb", {}, 405),
    ],
)
def test_refusals_have_the_shape_of_their_dialect(path: str, body: Any, status: int) -> None:
    found, text = answer(path, body)
    document = json.loads(text)
    assert found == status
    if path == "/v1/messages":
        assert (document["type"], document["error"]["type"]) == ("error", "not_found_error" if status == 404 else "invalid_request_error")
    else:
        assert (document["error"]["code"], document["error"]["status"]) == (status, "NOT_FOUND" if status == 404 else "INVALID_ARGUMENT")


def test_models_are_listed_as_each_client_expects() -> None:
    assert json.loads(answer("/v1/models", None, "GET")[1])["object"] == "list"
    assert json.loads(answer("/v1/models", None, "GET", **{"anthropic-version": "x"})[1])["data"][0]["type"] == "model"
    assert json.loads(answer("/v1beta/models", None, "GET")[1])["models"][0]["name"].startswith("models/")
    assert json.loads(answer("/v1beta/models/sim-large", None, "GET")[1])["name"] == "models/sim-large"
