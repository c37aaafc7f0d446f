"""Which fields of a caller's request go to LiteLLM. It must never let a caller name an address, a key or a setting of LiteLLM's own."""

from collections.abc import Mapping
from typing import Any

_CHAT = (
    "messages temperature top_p n stream stream_options stop max_tokens max_completion_tokens modalities prediction audio presence_penalty"
    " frequency_penalty logit_bias user response_format seed tools tool_choice parallel_tool_calls functions function_call logprobs"
    " top_logprobs reasoning_effort verbosity web_search_options service_tier safety_identifier prompt_cache_key"
    " thinking top_k min_p top_a repetition_penalty stop_sequences safety_settings cached_content guardrailConfig performanceConfig"
    " requestMetadata additionalModelRequestFields documents citation_options safety_mode prompt_truncation enable_thinking"
    " chat_template_kwargs reasoning mcp_servers container cache_control context_management output_config include_reasoning"
    " search_domain_filter search_recency_filter return_images return_related_questions task_id min_tokens"
)
_COMPLETIONS = (
    "prompt suffix best_of echo logit_bias logprobs max_tokens n presence_penalty frequency_penalty seed stop stream stream_options"
    " temperature top_p user top_k min_p repetition_penalty"
)
_RESPONSES = (
    "input include instructions max_output_tokens parallel_tool_calls reasoning stream temperature text tool_choice tools top_p truncation"
    " user service_tier safety_identifier top_logprobs prompt_cache_key previous_response_id"
)
_EMBEDDINGS = "input dimensions encoding_format user input_type truncate task late_chunking embedding_types output_dimension output_dtype"
_IMAGES = (
    "image mask prompt n size quality style response_format user background moderation output_compression output_format input_fidelity"
    " negative_prompt seed aspect_ratio guidance_scale num_inference_steps width height"
)
_MESSAGES = (
    "max_tokens messages stop_sequences stream system temperature thinking tool_choice tools top_k top_p metadata container"
    " context_management output_config output_format mcp_servers service_tier cache_control speed inference_geo"
)
_GEMINI = "contents tools toolConfig systemInstruction generationConfig safetySettings cachedContent labels"

ALLOWED: Mapping[str, frozenset[str]] = {
    "chat": frozenset(_CHAT.split()),
    "completions": frozenset(_COMPLETIONS.split()),
    "responses": frozenset(_RESPONSES.split()),
    "embeddings": frozenset(_EMBEDDINGS.split()),
    "images": frozenset(_IMAGES.split()),
    "audio": frozenset(["input", "voice", "response_format", "speed", "instructions"]),
    "transcription": frozenset(["file", "language", "prompt", "response_format", "temperature", "timestamp_granularities", "include"]),
    "moderation": frozenset(("input",)),
    "messages": frozenset(_MESSAGES.split()),
    "generate_content": frozenset(_GEMINI.split()),
}
"""Fields by operation; any other one is left out, as a parameter is that the provider does not take."""

GEMINI_SPELLINGS: Mapping[str, str] = {
    "system_instruction": "systemInstruction",
    "generation_config": "generationConfig",
    "safety_settings": "safetySettings",
    "tool_config": "toolConfig",
    "cached_content": "cachedContent",
}


def fields_of(operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `request` that may go on; null is as good as absent."""
    allowed = ALLOWED[operation]
    spelt = {GEMINI_SPELLINGS.get(name, name): value for name, value in request.items()} if operation == "generate_content" else request
    return {name: value for name, value in spelt.items() if name in allowed and value is not None}
