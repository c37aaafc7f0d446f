"""Names of attributes and values of spans about model calls, and what they mean here. It must never read a span or hold a text.

The conventions are still moving: what is written uses the current names (open-telemetry/semantic-conventions-genai, late 2026), what is
read may use former ones, and those of OpenLLMetry and OpenInference.
"""

from collections.abc import Mapping
from typing import Final

OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
OUTPUT_TYPE: Final = "gen_ai.output.type"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_CHOICE_COUNT: Final = "gen_ai.request.choice.count"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_CREATION_INPUT_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
USAGE_REASONING_OUTPUT_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
USAGE_IMAGE_INPUT_TOKENS: Final = "gen_ai.usage.image.input_tokens"
USAGE_AUDIO_INPUT_TOKENS: Final = "gen_ai.usage.audio.input_tokens"
USAGE_AUDIO_OUTPUT_TOKENS: Final = "gen_ai.usage.audio.output_tokens"
USAGE_IMAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.image.output_tokens"
CONVERSATION_ID: Final = "gen_ai.conversation.id"

SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"
SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
URL_PATH: Final = "url.path"
CLOUD_REGION: Final = "cloud.region"

GRAMMAGE_CALL_ID: Final = "grammage.call_id"
GRAMMAGE_REGION: Final = "grammage.region"
GRAMMAGE_TAG: Final = "grammage.tag."
"""What the names of tags begin with, as in `grammage.tag.campaign`."""

GRAMMAGE_CO2E: Final = "grammage.co2e"
GRAMMAGE_CO2E_LOW: Final = "grammage.co2e.low"
GRAMMAGE_CO2E_HIGH: Final = "grammage.co2e.high"
GRAMMAGE_ENERGY: Final = "grammage.energy"
GRAMMAGE_GRID_INTENSITY: Final = "grammage.grid.intensity"
GRAMMAGE_GRID_ZONE: Final = "grammage.grid.zone"
GRAMMAGE_METHOD: Final = "grammage.method"
GRAMMAGE_QUALITY: Final = "grammage.quality"
GRAMMAGE_POLICY: Final = "grammage.policy"
GRAMMAGE_ALTERED: Final = "grammage.altered"
GRAMMAGE_ATTEMPTS: Final = "grammage.attempts"
GRAMMAGE_ATTEMPT_ORDINAL: Final = "grammage.attempt.ordinal"
GRAMMAGE_ATTEMPT_CO2E: Final = "grammage.attempt.co2e"
GRAMMAGE_ATTEMPT_CO2E_LOW: Final = "grammage.attempt.co2e.low"
GRAMMAGE_ATTEMPT_CO2E_HIGH: Final = "grammage.attempt.co2e.high"
GRAMMAGE_ATTEMPT_ENERGY: Final = "grammage.attempt.energy"
GRAMMAGE_BASIS: Final = "grammage.basis"
GRAMMAGE_INSTEAD: Final = "grammage.instead"
GRAMMAGE_OUTCOME: Final = "grammage.outcome"
GRAMMAGE_PLACE_ASSUMED: Final = "grammage.place_assumed"
GRAMMAGE_SHORTCOMING: Final = "grammage.shortcoming"
GRAMMAGE_SIMULATED: Final = "grammage.simulated"
GRAMMAGE_UNWEIGHED_REASON: Final = "grammage.unweighed_reason"
GRAMMAGE_UPSTREAM_REQUEST_ID: Final = "grammage.upstream_request_id"
GRAMMAGE_USAGE_PARTIAL: Final = "grammage.usage.partial"
GRAMMAGE_USAGE_SOURCE: Final = "grammage.usage.source"
"""co2e in grams, energy in joules (facility), intensity in gCO2e per kWh."""

SPELLINGS: Final[Mapping[str, tuple[str, ...]]] = {
    OPERATION_NAME: (OPERATION_NAME, "llm.request.type", "gen_ai.request.type", "openinference.span.kind"),
    PROVIDER_NAME: (PROVIDER_NAME, "gen_ai.system", "llm.provider", "llm.system", "llm.vendor"),
    REQUEST_MODEL: (REQUEST_MODEL, "llm.request.model_name", "llm.request.model", "llm.model_name", "embedding.model_name"),
    RESPONSE_MODEL: (RESPONSE_MODEL, "llm.response.model_name", "llm.response.model"),
    RESPONSE_ID: (RESPONSE_ID, "llm.response.id", "gen_ai.response.request_id"),
    REQUEST_CHOICE_COUNT: (REQUEST_CHOICE_COUNT, "gen_ai.request.n"),
    REQUEST_STREAM: (REQUEST_STREAM, "gen_ai.is_streaming", "llm.is_streaming"),
    RESPONSE_TIME_TO_FIRST_CHUNK: (RESPONSE_TIME_TO_FIRST_CHUNK,),
    USAGE_INPUT_TOKENS: (
        USAGE_INPUT_TOKENS,
        "gen_ai.usage.prompt_tokens",
        "llm.usage.prompt_tokens",
        "llm.usage.input_tokens",
        "llm.token_count.prompt",
    ),
    USAGE_OUTPUT_TOKENS: (
        USAGE_OUTPUT_TOKENS,
        "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
        "llm.usage.output_tokens",
        "llm.token_count.completion",
    ),
    USAGE_CACHE_READ_INPUT_TOKENS: (
        USAGE_CACHE_READ_INPUT_TOKENS,
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.cached_tokens",
        "gen_ai.usage.input_tokens.cached",
        "llm.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "llm.token_count.prompt_details.cache_input",
    ),
    USAGE_CACHE_CREATION_INPUT_TOKENS: (
        USAGE_CACHE_CREATION_INPUT_TOKENS,
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.input_tokens.cache_write",
        "llm.usage.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
    USAGE_REASONING_OUTPUT_TOKENS: (
        USAGE_REASONING_OUTPUT_TOKENS,
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.output_tokens.reasoning",
        "llm.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
    USAGE_IMAGE_INPUT_TOKENS: (USAGE_IMAGE_INPUT_TOKENS,),
    USAGE_IMAGE_OUTPUT_TOKENS: (USAGE_IMAGE_OUTPUT_TOKENS,),
    USAGE_AUDIO_INPUT_TOKENS: (USAGE_AUDIO_INPUT_TOKENS, "llm.token_count.prompt_details.audio"),
    USAGE_AUDIO_OUTPUT_TOKENS: (USAGE_AUDIO_OUTPUT_TOKENS, "llm.token_count.completion_details.audio"),
    OUTPUT_TYPE: (OUTPUT_TYPE,),
    SERVER_ADDRESS: (SERVER_ADDRESS, "gen_ai.openai.api_base", "net.peer.name", "http.host", "url.full", "http.url"),
    SERVER_PORT: (SERVER_PORT, "net.peer.port"),
    ERROR_TYPE: (ERROR_TYPE,),
    CLOUD_REGION: (CLOUD_REGION, GRAMMAGE_REGION, "gen_ai.request.region", "aws.region"),
    GRAMMAGE_CALL_ID: (GRAMMAGE_CALL_ID, "x-grammage-call-id", "http.response.header.x-grammage-call-id", "grammage.call.id"),
}
"""By the current name of a fact every name it is read under, the current one first. What is in no row is dropped unread."""

READ: Final[Mapping[str, tuple[str, int]]] = {
    spelling: (name, rank) for name, spellings in SPELLINGS.items() for rank, spelling in enumerate(spellings)
}
"""By a written name the fact it states, and how well: of two that state the same the lower rank counts."""

OPERATIONS: Final[Mapping[str, str]] = {
    "chat": "chat",
    "llm": "chat",
    "generation": "chat",
    "chat_completion": "chat",
    "text_completion": "completions",
    "completion": "completions",
    "generate_content": "generate_content",
    "messages": "messages",
    "responses": "responses",
    "embeddings": "embeddings",
    "embedding": "embeddings",
    "image_generation": "images",
    "generate_image": "images",
    "speech": "audio",
    "transcription": "transcription",
    "moderation": "moderation",
}
"""Words of spans that stand for one call of a model, as operations of ours; in small letters."""

AROUND: Final = frozenset(
    {
        "agent", "chain", "create_agent", "create_memory", "create_memory_store", "delete_memory", "delete_memory_store", "evaluator",
        "execute_tool", "guardrail", "handoff", "invoke_agent", "invoke_workflow", "plan", "prompt", "rerank", "reranker", "retrieval",
        "retriever", "search_memory", "task", "tool", "update_memory", "upsert_memory", "workflow",
    }
)  # fmt: skip
"""Words of spans that stand for something around calls: an agent, a tool, a search. Their tokens are their children's."""

PROVIDERS: Final[Mapping[str, str]] = {
    "aws.bedrock": "aws-bedrock",
    "az.ai.inference": "azure-ai",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure-ai",
    "azure.ai.openai": "azure",
    "gcp.gemini": "google-gemini",
    "gcp.gen_ai": "google-gemini",
    "gcp.vertex_ai": "gcp-vertex",
    "hugging_face": "huggingface",
    "ibm.watsonx.ai": "ibm-watsonx",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshot",
    "x_ai": "xai",
}
"""Providers as the conventions write them, by our ids; all others are written as ours, or as config.providers knows them."""

WRITTEN_PROVIDERS: Final[Mapping[str, str]] = {
    "aws-bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "azure-ai": "azure.ai.inference",
    "gcp-vertex": "gcp.vertex_ai",
    "google-gemini": "gcp.gemini",
    "ibm-watsonx": "ibm.watsonx.ai",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "xai": "x_ai",
}
"""By our provider id what the conventions call it; all others are written as they are."""

WRITTEN_OPERATIONS: Final[Mapping[str, str]] = {
    "chat": "chat",
    "completions": "text_completion",
    "messages": "chat",
    "responses": "chat",
    "generate_content": "generate_content",
    "stream_generate_content": "generate_content",
    "embeddings": "embeddings",
    "embed_content": "embeddings",
    "batch_embed_contents": "embeddings",
}
"""By our operation what the conventions call it; all others are written as they are."""
