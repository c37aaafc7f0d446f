"""Providers that speak OpenAI's dialect, each with what is peculiar to it. Their bytes go through."""

from typing import Any

from tests.providers.case import DONE, HALVES, KEY, Body, Case, chat, chat_events, chunk, data, usage_chunk

FIRST, SECOND = HALVES
USAGE = {"prompt_tokens": 21, "completion_tokens": 7, "total_tokens": 28}
RECORDED = {"input_tokens": 21, "output_tokens": 7}
OPENAI_USAGE = {
    **USAGE,
    "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0},
}
GROQ_USAGE = {"queue_time": 0.01, "prompt_time": 0.002, "completion_time": 0.01, "total_time": 0.012, **USAGE}
GROQ = {"id": "req_01jgroq", "usage": GROQ_USAGE}
DEEPSEEK_USAGE = {**USAGE, "prompt_cache_hit_tokens": 16, "prompt_cache_miss_tokens": 5}
XAI_USAGE = {
    "prompt_tokens": 21,
    "completion_tokens": 7,
    "total_tokens": 78,
    "prompt_tokens_details": {"text_tokens": 21, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 50, "audio_tokens": 0},
    "num_sources_used": 0,
}
OPENROUTER_USAGE = {**USAGE, "cost": 0.00014, "cost_details": {"upstream_inference_cost": None}}
PERPLEXITY_USAGE = {**USAGE, "search_context_size": "low", "cost": {"total_cost": 0.005}}
FILTERED = data({"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [{"prompt_index": 0}]})
CONTINUED = {"prompt_tokens": 21, "completion_tokens": 3, "total_tokens": 24}


def row(example: str, alias: str, base: str, **changes: Any) -> Case:
    """A provider without peculiarities, but for `changes`."""
    usual: dict[str, Any] = {
        "example": example,
        "alias": alias,
        "base": base,
        "target": f"{base}/chat/completions",
        "unary": chat(USAGE),
        "events": chat_events(USAGE),
        "recorded": RECORDED,
        "provider": example,
    }
    return Case(**{**usual, **changes})


def _mistral_error(message: str, status: int) -> Body:
    return {"object": "error", "message": message, "type": "invalid_request_error", "param": None, "code": str(status)}


WIRE = (
    row(
        "openai",
        "gpt-4o-mini",
        "/v1",
        unary=chat(OPENAI_USAGE, service_tier="default", system_fingerprint="fp_1"),
        events=chat_events(OPENAI_USAGE),
        recorded={**RECORDED, "cached_input_tokens": 16, "reasoning_output_tokens": 2},
    ),
    row(
        "azure",
        "gpt-4o-mini",
        "/openai/v1",
        key=("api-key", KEY),
        headers=[(b"apim-request-id", b"a-1"), (b"x-ms-region", b"Sweden Central")],
        events=(FILTERED, *chat_events(USAGE)),
        limited={"error": {"code": "429", "message": "Requests have exceeded call rate limit. Please retry after 7 seconds."}},
        refused={"error": {"code": "401", "message": "Access denied due to invalid subscription key or wrong API endpoint."}},
    ),
    row(
        "azure",
        "gpt-4o-mini-dated",
        "",
        key=("api-key", KEY),
        target="/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21",
        events=(FILTERED, *chat_events(USAGE)),
    ),
    row(
        "mistral",
        "mistral-small",
        "/v1",
        events=(
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": FIRST}),
            chunk({"content": SECOND}, finish="stop", usage=USAGE),
            DONE,
        ),
        limited=_mistral_error("Requests rate limit exceeded", 429),
        refused={"detail": "Unauthorized"},
    ),
    row(
        "groq",
        "llama-3.3-70b",
        "/openai/v1",
        unary=chat(GROQ_USAGE, x_groq={"id": "req_01jgroq"}),
        events=(
            chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_01jgroq"}),
            chunk({"content": FIRST}),
            chunk({"content": SECOND}),
            chunk({}, finish="stop", x_groq=GROQ),
            usage_chunk(GROQ_USAGE),
            DONE,
        ),
    ),
    row(
        "openrouter",
        "llama-3.3-70b",
        "/api/v1",
        unary=chat(OPENROUTER_USAGE, provider="DeepInfra"),
        events=(
            b": OPENROUTER PROCESSING\n\n",
            b": OPENROUTER PROCESSING\n\n",
            chunk({"role": "assistant", "content": FIRST}, provider="DeepInfra"),
            chunk({"content": SECOND}, finish="stop", provider="DeepInfra"),
            chunk({"role": "assistant", "content": ""}, provider="DeepInfra", usage=OPENROUTER_USAGE),
            DONE,
        ),
        limited={"error": {"message": "Rate limit exceeded: free-models-per-min.", "code": 429, "metadata": {"headers": {}}}},
        refused={"error": {"message": "No auth credentials found", "code": 401}},
    ),
    row(
        "deepseek",
        "deepseek-chat",
        "/v1",
        unary=chat(DEEPSEEK_USAGE),
        events=(
            chunk({"role": "assistant", "content": FIRST}),
            b": keep-alive\n\n",
            chunk({"content": SECOND}),
            chunk({"content": ""}, finish="stop", usage=DEEPSEEK_USAGE),
            DONE,
        ),
        recorded={**RECORDED, "cached_input_tokens": 16},
    ),
    row(
        "xai",
        "grok-4",
        "/v1",
        unary=chat(XAI_USAGE),
        events=(
            chunk({"role": "assistant", "content": FIRST}, usage={**XAI_USAGE, "completion_tokens": 3, "total_tokens": 74}),
            chunk({"content": SECOND}, finish="stop", usage=XAI_USAGE),
            usage_chunk(XAI_USAGE),
            DONE,
        ),
        recorded={"input_tokens": 21, "cached_input_tokens": 4, "output_tokens": 57, "reasoning_output_tokens": 50},
        limited={"code": "Some resource has been exhausted", "error": "Too many requests for team."},
        refused={"code": "Client specified an invalid argument", "error": "Incorrect API key provided."},
    ),
    row("ollama", "llama3.2", "/v1", key=("authorization", "")),
    row(
        "vllm",
        "llama-3.3-70b",
        "/v1",
        key=("authorization", ""),
        events=(
            chunk({"role": "assistant", "content": ""}, usage={**CONTINUED, "completion_tokens": 0, "total_tokens": 21}),
            chunk({"content": FIRST}, usage=CONTINUED),
            chunk({"content": SECOND}, finish="stop", usage=USAGE),
            usage_chunk(USAGE),
            DONE,
        ),
        limited={"object": "error", "message": "Server overloaded.", "type": "TooManyRequests", "param": None, "code": 429},
        refused={"error": "Unauthorized"},
    ),
    row("ovhcloud", "mistral-small", "/v1"),
    row("scaleway", "mistral-small", "/v1"),
    row("together", "llama-3.3-70b", "/v1", events=(*chat_events(USAGE)[:2], chunk({}, finish="stop", usage=USAGE), DONE)),
    row("fireworks", "llama-3.3-70b", "/inference/v1"),
    row("huggingface", "llama-3.3-70b", "/v1", refused={"error": "Invalid username or password."}),
    row("cerebras", "llama-3.3-70b", "/v1", unary=chat(USAGE, time_info={"queue_time": 0.001, "total_time": 0.2})),
    row("deepinfra", "llama-3.3-70b", "/v1/openai", unary=chat({**USAGE, "estimated_cost": 0.00001})),
    row("nebius", "llama-3.3-70b", "/v1"),
    row(
        "perplexity",
        "sonar",
        "",
        unary=chat(PERPLEXITY_USAGE, citations=["https://example.com"]),
        events=(
            chunk({"role": "assistant", "content": FIRST}, usage={**PERPLEXITY_USAGE, "completion_tokens": 3, "total_tokens": 24}),
            chunk({"content": SECOND}, finish="stop", usage=PERPLEXITY_USAGE),
        ),
    ),
    row(
        "gemini",
        "gemini-flash",
        "/v1beta/openai",
        provider="google-gemini",
        events=(
            chunk({"role": "assistant", "content": FIRST}, usage={"prompt_tokens": 21, "completion_tokens": 3, "total_tokens": 44}),
            chunk({"content": SECOND}, finish="stop", usage={"prompt_tokens": 21, "completion_tokens": 7, "total_tokens": 48}),
            DONE,
        ),
        unary=chat({"prompt_tokens": 21, "completion_tokens": 7, "total_tokens": 48}),
        recorded={"input_tokens": 21, "output_tokens": 27},
        limited={"error": {"code": 429, "message": "You exceeded your current quota.", "status": "RESOURCE_EXHAUSTED"}},
        refused={"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}},
    ),
)
