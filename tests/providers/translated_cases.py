"""Providers that LiteLLM translates for, each in its own wire format."""

from typing import Any

from tests.providers.case import HALVES, KEY, TEXT, Body, Case, chat, chat_events, data, named
from tests.providers.frames import frame

FIRST, SECOND = HALVES
EMBEDDED = [0.25, -0.5, 0.125]
USAGE = {"prompt_tokens": 21, "completion_tokens": 7, "total_tokens": 28}

MESSAGE: Body = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": TEXT}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 8, "output_tokens": 7},
}
STARTED: Body = {**MESSAGE, "content": [], "stop_reason": None, "usage": {**MESSAGE["usage"], "output_tokens": 1}}
MESSAGE_EVENTS = (
    named({"type": "message_start", "message": STARTED}),
    named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    named({"type": "ping"}),
    named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": FIRST}}),
    named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": SECOND}}),
    named({"type": "content_block_stop", "index": 0}),
    named({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 7}}),
    named({"type": "message_stop"}),
)
ANTHROPIC_RECORDED = {"input_tokens": 21, "cached_input_tokens": 8, "output_tokens": 7}


def anthropic_error(kind: str, message: str) -> Body:
    """An error as Anthropic words it."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011"}


CONVERSE_USAGE = {"inputTokens": 13, "outputTokens": 7, "totalTokens": 28, "cacheReadInputTokens": 8, "cacheWriteInputTokens": 0}
CONVERSE: Body = {
    "output": {"message": {"role": "assistant", "content": [{"text": TEXT}]}},
    "stopReason": "end_turn",
    "usage": CONVERSE_USAGE,
    "metrics": {"latencyMs": 120},
}
CONVERSE_EVENTS = (
    frame("messageStart", {"role": "assistant"}),
    frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": FIRST}}),
    frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": SECOND}}),
    frame("contentBlockStop", {"contentBlockIndex": 0}),
    frame("messageStop", {"stopReason": "end_turn"}),
    frame("metadata", {"usage": CONVERSE_USAGE, "metrics": {"latencyMs": 120}}),
)
BEDROCK: dict[str, Any] = {
    "example": "bedrock",
    "provider": "aws-bedrock",
    "translated": True,
    "headers": [(b"x-amzn-requestid", b"amzn-1")],
    "key": ("authorization", "AWS4-HMAC-SHA256 Credential="),
    "limited": {"message": "Too many requests, please wait before trying again."},
    "refused": {"message": "The security token included in the request is invalid."},
}


def gemini_answer(text: str, *, finish: bool = True) -> Body:
    """A generateContent answer, or a part of a streamed one."""
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **({"finishReason": "STOP"} if finish else {})}
    usage = {
        "promptTokenCount": 21,
        "candidatesTokenCount": 7,
        "thoughtsTokenCount": 20,
        "cachedContentTokenCount": 8,
        "totalTokenCount": 48,
    }
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash", "responseId": "resp-1"}


def google_error(code: int, status: str, message: str) -> Body:
    """An error as Google words it."""
    return {"error": {"code": code, "message": message, "status": status}}


GEMINI: dict[str, Any] = {
    "unary": gemini_answer(TEXT),
    "events": tuple(data(gemini_answer(half, finish=half is SECOND)) for half in HALVES),
    "recorded": {"input_tokens": 21, "cached_input_tokens": 8, "output_tokens": 27, "reasoning_output_tokens": 20},
    "translated": True,
    "limited": google_error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    "refused": google_error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
}
VERTEX = "/v1/projects/my-project/locations/europe-west9/publishers/google/models/gemini-2.5-flash"
COHERE_USAGE = {"billed_units": {"input_tokens": 5, "output_tokens": 7}, "tokens": {"input_tokens": 21, "output_tokens": 7}}
COHERE: Body = {
    "id": "c14c80c3",
    "finish_reason": "COMPLETE",
    "message": {"role": "assistant", "content": [{"type": "text", "text": TEXT}]},
    "usage": COHERE_USAGE,
}
COHERE_EVENTS = (
    named({"type": "message-start", "id": "c14c80c3", "delta": {"message": {"role": "assistant", "content": [], "tool_plan": ""}}}),
    named({"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}),
    named({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": FIRST}}}}),
    named({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": SECOND}}}}),
    named({"type": "content-end", "index": 0}),
    named({"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": COHERE_USAGE}}),
    b"data: [DONE]\n\n",
)
TRANSLATED = (
    Case(
        example="anthropic",
        alias="claude-sonnet",
        base="/v1",
        target="/v1/messages",
        key=("x-api-key", KEY),
        provider="anthropic",
        unary=MESSAGE,
        events=MESSAGE_EVENTS,
        recorded=ANTHROPIC_RECORDED,
        translated=True,
        headers=[(b"request-id", b"req_011")],
        limited=anthropic_error("rate_limit_error", "This request would exceed your rate limit."),
        refused=anthropic_error("authentication_error", "invalid x-api-key"),
    ),
    Case(
        **BEDROCK,
        alias="nova-lite",
        target="/model/eu.amazon.nova-lite-v1%3A0/converse",
        stream_target="/model/eu.amazon.nova-lite-v1%3A0/converse-stream",
        unary=CONVERSE,
        events=CONVERSE_EVENTS,
        stream_kind=b"application/vnd.amazon.eventstream",
        recorded={"input_tokens": 21, "cached_input_tokens": 8, "output_tokens": 7},
    ),
    Case(
        **GEMINI,
        example="vertex",
        alias="gemini-flash",
        provider="gcp-vertex",
        target=f"{VERTEX}:generateContent",
        stream_target=f"{VERTEX}:streamGenerateContent?alt=sse",
        key=("authorization", "Bearer token-of-the-tests"),
    ),
    Case(
        **GEMINI,
        example="gemini",
        alias="gemini-flash-translated",
        provider="google-gemini",
        base="/v1beta",
        target="/v1beta/models/gemini-2.5-flash:generateContent",
        stream_target="/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        key=("x-goog-api-key", KEY),
    ),
    Case(
        example="azure-ai",
        alias="phi-4",
        provider="azure-ai",
        target="/chat/completions",
        unary=chat(USAGE, "Phi-4"),
        events=chat_events(USAGE, "Phi-4"),
        recorded={"input_tokens": 21, "output_tokens": 7},
        translated=True,
        headers=[(b"apim-request-id", b"apim-1")],
        limited={"error": {"code": "RateLimitReached", "message": "Your requests to Phi-4 have exceeded token rate limit."}},
        refused={"error": {"code": "Unauthorized", "message": "Access token is missing, invalid, audience is incorrect, or have expired."}},
    ),
    Case(
        example="cohere",
        alias="command-a",
        provider="cohere",
        base="/v2",
        target="/v2/chat",
        unary=COHERE,
        events=COHERE_EVENTS,
        recorded={"input_tokens": 21, "output_tokens": 7},
        translated=True,
        limited={"id": "1", "message": "You are using a Trial key, which is limited to 20 API calls / minute."},
        refused={"id": "1", "message": "invalid api token"},
    ),
)
"""Chat."""

EMBEDDINGS = (
    Case(
        **BEDROCK,
        alias="titan-embed",
        target="/model/amazon.titan-embed-text-v2%3A0/invoke",
        unary={"embedding": EMBEDDED, "inputTextTokenCount": 5},
        events=(),
        recorded={"input_tokens": 5, "output_tokens": 0},
    ),
    Case(
        example="cohere",
        alias="embed-v4",
        provider="cohere",
        base="/v2",
        target="/v2/embed",
        unary={"id": "e1", "embeddings": {"float": [EMBEDDED]}, "texts": ["pull"], "meta": {"billed_units": {"input_tokens": 5}}},
        events=(),
        recorded={"input_tokens": 5, "output_tokens": 0},
        translated=True,
    ),
)
