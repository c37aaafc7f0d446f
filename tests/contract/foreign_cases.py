"""One exchange with each endpoint of other dialects than OpenAI's, as its provider writes it. It must never use our own reader."""

import json
from typing import Any

from tests.contract.case import Case, event

CLAUDE, GEMINI = "claude-sonnet-4-5-20250929", "gemini-2.5-flash"
CACHED = {"cache_creation_input_tokens": 120, "cache_read_input_tokens": 2048, "cache_creation": {"ephemeral_5m_input_tokens": 120}}
MESSAGES_USAGE = {"input_tokens": 21, **CACHED, "output_tokens": 305, "output_tokens_details": {"thinking_tokens": 90}}
MESSAGES_RECORDED = {
    "input_tokens": 2189,
    "cached_input_tokens": 2048,
    "output_tokens": 305,
    "reasoning_output_tokens": 90,
    "usage_source": "provider",
    "served_model": CLAUDE,
}


def message(**changes: Any) -> dict[str, Any]:
    """A Message object in the provider's order."""
    return {
        "model": CLAUDE,
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": 'caf\u00e9, "usage":{"input_tokens":1}'}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": MESSAGES_USAGE,
        **changes,
    }


def message_events(*deltas: str, last_usage: dict[str, Any] | None = None) -> tuple[bytes, ...]:
    """A stream of the Messages API: input in `message_start`, cumulative counts in `message_delta`, a ping, `message_stop`."""
    begun = {**MESSAGES_USAGE, "output_tokens": 2, "output_tokens_details": None}
    told = {"output_tokens": 305, "input_tokens": None, "output_tokens_details": {"thinking_tokens": 90}}
    steps: list[dict[str, Any]] = [
        {"type": "message_start", "message": message(content=[], stop_reason=None, usage=begun)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": last_usage or told},
        {"type": "ping"},
        {"type": "message_stop"},
    ]
    return tuple(event(step) for step in steps)


MESSAGES = Case(
    path="/v1/messages",
    dialect="anthropic",
    operation="messages",
    ask={"model": CLAUDE, "max_tokens": 1024, "messages": [{"role": "user", "content": "Describe a merino jumper."}]},
    answer=json.dumps(message(), ensure_ascii=False, indent=1).encode(),
    recorded=MESSAGES_RECORDED,
    stream_ask={"stream": True},
    events=message_events("say message_stop, ", "caf\u00e9 \U0001f411"),
)
GENERATE_USAGE = {
    "promptTokenCount": 310,
    "candidatesTokenCount": 40,
    "totalTokenCount": 567,
    "cachedContentTokenCount": 128,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 52}, {"modality": "IMAGE", "tokenCount": 258}],
    "toolUsePromptTokenCount": 17,
    "thoughtsTokenCount": 200,
}
GENERATE_RECORDED = {
    "input_tokens": 327,
    "cached_input_tokens": 128,
    "image_input_tokens": 258,
    "output_tokens": 240,
    "reasoning_output_tokens": 200,
    "usage_source": "provider",
    "served_model": "gemini-2.5-flash-preview-09-2025",
}


def generated(text: str, *, usage: dict[str, Any] | None = None, finish: str | None = "STOP") -> dict[str, Any]:
    """A part of a stream of Gemini's, or the whole answer."""
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    return {
        "candidates": [{**candidate, **({"finishReason": finish} if finish else {})}],
        "usageMetadata": usage or GENERATE_USAGE,
        "modelVersion": "gemini-2.5-flash-preview-09-2025",
        "responseId": "r-1",
    }


EARLY = {"promptTokenCount": 310, "candidatesTokenCount": 3, "totalTokenCount": 313}
PARTS = (
    generated('say "finishReason", ', usage=EARLY, finish=None),
    generated("caf\u00e9 ", usage=EARLY, finish=None),
    generated("\U0001f411", usage=GENERATE_USAGE),
)
ASK = {"contents": [{"role": "user", "parts": [{"text": "Describe a merino jumper."}]}], "generationConfig": {"maxOutputTokens": 800}}
GENERATE = Case(
    path="/v1beta/models/{model}:generateContent",
    target=f"/v1beta/models/{GEMINI}:generateContent",
    dialect="gemini",
    operation="generate_content",
    ask=ASK,
    answer=json.dumps(generated("caf\u00e9"), ensure_ascii=False, indent=2).encode(),
    recorded=GENERATE_RECORDED,
)
STREAM_GENERATE = Case(
    path="/v1beta/models/{model}:streamGenerateContent",
    target=f"/v1/models/{GEMINI}:streamGenerateContent?alt=sse",
    dialect="gemini",
    operation="stream_generate_content",
    ask=ASK,
    answer=b"",
    recorded=GENERATE_RECORDED,
    events=tuple(f"data: {json.dumps(part, ensure_ascii=False)}\r\n\r\n".encode() for part in PARTS),
)
ARRAY = b"[" + b",\r\n".join(json.dumps(part, ensure_ascii=False, indent=2).encode() for part in PARTS) + b"\n]\n"
EMBED = Case(
    path="/v1beta/models/{model}:embedContent",
    target="/v1beta/models/gemini-embedding-001:embedContent",
    dialect="gemini",
    operation="embed_content",
    ask={"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "Once"}]}},
    answer=json.dumps({"embedding": {"values": [0.5, 0.25]}}).encode(),
    recorded={"input_tokens": 1, "output_tokens": 0, "usage_source": "counted"},
    tagged=False,
)
BATCH_EMBED = Case(
    path="/v1beta/models/{model}:batchEmbedContents",
    target="/v1/models/gemini-embedding-2:batchEmbedContents",
    dialect="gemini",
    operation="batch_embed_contents",
    ask={"requests": [{"model": "models/gemini-embedding-2", "content": {"parts": [{"text": text}]}} for text in ("Once", "upon")]},
    answer=json.dumps({"embeddings": [{"values": [0.5]}, {"values": [0.25]}], "usageMetadata": {"promptTokenCount": 2}}).encode(),
    recorded={"input_tokens": 2, "output_tokens": 0, "usage_source": "provider"},
)
FOREIGN = (MESSAGES, GENERATE, STREAM_GENERATE, EMBED, BATCH_EMBED)
