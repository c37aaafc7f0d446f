"""Names of media models, bare names of lines, measured models. It must never accept a class where a card exists."""

import pytest

from config.tables import load_tables
from estimators import prepare
from tests.weighing_samples import US, shipped_card, shipped_factors

CATALOGUE = load_tables().catalogue
CARDS = {card.id: card for card in CATALOGUE.cards()}

REAL_NAMES = [
    ("azure/gpt-image-1.5-2025-12-16", "gpt-image-1.5"),
    ("chatgpt-image-latest", "gpt-image-1.5"),
    ("fal_ai/openai/gpt-image-2/edit", "gpt-image-2"),
    ("1024-x-1024/50-steps/bedrock/amazon.nova-canvas-v1:0", "nova-canvas"),
    ("azure_ai/FLUX-1.1-pro", "flux-pro-1.1"),
    ("azure_ai/FLUX.1-Kontext-pro", "flux-kontext-pro"),
    ("azure_ai/flux.2-pro", "flux.2-pro"),
    ("black_forest_labs/flux-pro-1.1-ultra", "flux-pro-1.1-ultra"),
    ("black-forest-labs/FLUX.2-klein-4B", "flux.2-klein-4b"),
    ("aiml/flux/dev", "flux.1-dev"),
    ("aiml/flux/schnell", "flux.1-schnell"),
    ("aiml/flux-pro/v1.1", "flux-pro-1.1"),
    ("aiml/flux/kontext-max/text-to-image", "flux-kontext-max"),
    ("black-forest-labs/FLUX.1-Kontext-dev", "flux.1-kontext-dev"),
    ("fireworks_ai/accounts/fireworks/models/flux-1-dev-fp8", "flux.1-dev"),
    ("stabilityai/stable-diffusion-xl-base-1.0", "stable-diffusion-xl"),
    ("stability/sd3.5-large-turbo", "stable-diffusion-3.5-large-turbo"),
    ("stability.sd3-5-large-v1:0", "stable-diffusion-3.5-large"),
    ("us.stability.stable-image-core-v1:1", "stable-image-core"),
    ("stability.stable-image-inpaint-v1:0", "stable-image-edit"),
    ("stabilityai/stable-diffusion-2-1", "stable-diffusion-2.1"),
    ("gemini/gemini-2.5-flash-image-preview", "gemini-2.5-flash-image"),
    ("vertex_ai/gemini-3-pro-image-preview", "gemini-3-pro-image"),
    ("google/nano-banana-pro", "gemini-3-pro-image"),
    ("vertex_ai/imagen-4.0-ultra-generate-001", "imagen-4.0-ultra-generate"),
    ("gemini/imagen-3.0-fast-generate-001", "imagen-3.0-fast-generate"),
    ("azure/dall-e-3", "dall-e-3"),
    ("azure_ai/MAI-Image-2.5-Flash", "mai-image-2.5-flash"),
    ("xai/grok-imagine-image-pro", "grok-imagine-image-pro"),
    ("dashscope/qwen-image-2.0-pro", "qwen-image-2.0-pro"),
    ("Qwen/Qwen-Image-Edit-2509", "qwen-image-edit"),
    ("doubao-seedream-4-0-250828", "seedream-4.0"),
    ("recraft/recraftv3", "recraft-v3"),
    ("openai/sora-2-pro", "sora-2-pro"),
    ("gemini/veo-3.1-fast-generate-preview", "veo-3.1-fast-generate"),
    ("vertex_ai/veo-2.0-generate-001", "veo-2.0-generate"),
    ("doubao-seedance-1-0-pro-250528", "seedance-1.0-pro"),
    ("volcengine/doubao-seedance-2-0-fast-260128", "seedance-2.0-fast"),
    ("fal_ai/bytedance/seedance-2.5/image-to-video", "seedance-2.5"),
    ("Wan-AI/Wan2.2-T2V-A14B-Diffusers", "wan2.2-t2v-a14b"),
    ("tencent/HunyuanVideo", "hunyuan-video"),
    ("runwayml/gen4_turbo", "runway-gen4-turbo"),
    ("runwayml/veo3.1_fast", "veo-3.1-fast-generate"),
    ("groq/whisper-large-v3-turbo", "whisper-large-v3-turbo"),
    ("openai/whisper-tiny", "whisper-tiny"),
    ("azure/gpt-4o-mini-transcribe-2025-12-15", "gpt-4o-mini-transcribe"),
    ("gpt-4o-transcribe-diarize", "gpt-4o-transcribe"),
    ("deepgram/nova-3", "deepgram-nova-3"),
    ("deepgram/nova-2-phonecall", "deepgram-nova-2"),
    ("deepgram/base", "deepgram-base"),
    ("elevenlabs/scribe_v1", "scribe-v1"),
    ("elevenlabs/eleven_multilingual_v2", "eleven-multilingual-v2"),
    ("eleven_flash_v2_5", "eleven-flash-v2.5"),
    ("assemblyai/best", "assemblyai-universal"),
    ("mistral/voxtral-mini-2507", "voxtral-mini"),
    ("mistral/voxtral-mini-tts-2603", "voxtral-tts"),
    ("vertex_ai/chirp_3", "chirp-3"),
    ("azure/speech/azure-tts-hd", "azure-tts-hd"),
    ("aws_polly/neural", "polly-neural"),
    ("tts-1-hd-1106", "tts-1-hd"),
    ("gpt-4o-mini-tts-2025-12-15", "gpt-4o-mini-tts"),
    ("gemini/gemini-3.8-flash-lite-tts", "gemini-3.8-flash-lite-tts"),
    ("vertex_ai/gemini-2.5-pro-tts", "gemini-2.5-pro-preview-tts"),
    ("hexgrad/Kokoro-82M", "kokoro-82m"),
    ("azure/gpt-realtime-2.1-mini", "gpt-realtime-2.1-mini"),
    ("amazon.nova-2-sonic-v1:0", "nova-2-sonic"),
    ("azure/text-embedding-3-large", "text-embedding-3-large"),
    ("bedrock/cohere.embed-english-v3", "embed-english-v3.0"),
    ("azure_ai/Cohere-Embed-V5-Fast", "embed-v5.0-fast"),
    ("cohere.rerank-v3-5:0", "rerank-v3.5"),
    ("amazon.rerank-v1:0", "amazon-rerank"),
    ("voyage/voyage-multimodal-3.5", "voyage-multimodal-3.5"),
    ("voyage/rerank-2.5-lite", "rerank-2.5-lite"),
    ("jinaai/jina-embeddings-v2-base-en", "jina-embeddings-v2-base-en"),
    ("jina-reranker-v2-base-multilingual", "jina-reranker-v2-base-multilingual"),
    ("databricks/databricks-bge-large-en", "bge-large-en-v1.5"),
    ("novita/baai/bge-reranker-v2-m3", "bge-reranker-v2-m3"),
    ("fireworks_ai/accounts/fireworks/models/qwen3-reranker-0p6b", "qwen3-reranker-0.6b"),
    ("doubao-embedding-large-text-250515", "doubao-embedding-large"),
    ("omni-moderation-2024-09-26", "omni-moderation-latest"),
    ("text-moderation-007", "text-moderation-007"),
    ("mistral/mistral-moderation-2603", "mistral-moderation"),
    ("meta-llama/Llama-Guard-4-12B", "llama-guard-4-12b"),
]


@pytest.mark.parametrize(("name", "card_id"), REAL_NAMES)
def test_a_name_that_people_send_finds_its_card(name: str, card_id: str) -> None:
    found = CATALOGUE.resolve(name)
    assert (found.card.id, found.warnings) == (card_id, ())
    assert found.match in ("exact", "alias", "dated")


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("gpt-image-1", "images"),
        ("dall-e-3", "images"),
        ("flux-pro-1.1", "images"),
        ("sora-2", "video"),
        ("wan2.1-t2v-14b", "video"),
        ("whisper-1", "audio"),
        ("eleven-v3", "audio"),
        ("nova-2-multimodal-embeddings", "embeddings"),
        ("rerank-v3.5", "embeddings"),
        ("omni-moderation-latest", "moderation"),
    ],
)
def test_a_media_model_says_what_it_does(name: str, operation: str) -> None:
    assert operation in CARDS[name].operations


def test_every_operation_has_many_models_of_many_vendors() -> None:
    for operation, models, vendors in (
        ("images", 70, 15),
        ("video", 40, 10),
        ("audio", 70, 15),
        ("embeddings", 90, 15),
        ("moderation", 12, 5),
    ):
        cards = [card for card in CARDS.values() if operation in card.operations]
        assert len(cards) >= models, operation
        assert len({card.vendor for card in cards}) >= vendors, operation
    assert len(CARDS) >= 350


@pytest.mark.parametrize(
    ("name", "line", "present"),
    [
        ("claude-sonnet", "claude-sonnet", "claude-sonnet-5-5"),
        ("anthropic/claude-opus", "claude-opus", "claude-opus-5-5"),
        ("bedrock/eu.anthropic.claude-haiku", "claude-haiku", "claude-haiku-5-5"),
        ("gemini-pro", "gemini-pro", "gemini-3.1-pro-preview"),
        ("gemini", "gemini", "gemini-3.8-flash"),
        ("openai/gpt-image", "gpt-image", "gpt-image-2"),
        ("dall-e", "dall-e", "dall-e-3"),
        ("stable-diffusion", "stable-diffusion", "stable-diffusion-3.5-large"),
    ],
)
def test_the_bare_name_of_a_line_is_weighed_as_its_present_member_and_says_so(name: str, line: str, present: str) -> None:
    assert line not in CARDS
    found = CATALOGUE.resolve(name)
    assert (found.match, found.card.id, found.warnings) == ("family", present, ("model-family-assumed",))
    assert found.card.active_params_b.high > CARDS[present].active_params_b.high


def test_a_line_does_not_swallow_its_unknown_members() -> None:
    assert CATALOGUE.resolve("claude-opus-19").match == "class"
    assert CATALOGUE.resolve("mistral/never-heard-of").match == "class"


@pytest.mark.parametrize("name", ["gemma-4-e2b", "gemma-4-e4b", "gemma-3n-e4b"])
def test_per_layer_embeddings_are_no_mixture_of_experts(name: str) -> None:
    assert not CARDS[name].is_moe
    assert "looked up" in CARDS[name].note


def test_true_mixtures_stay_mixtures() -> None:
    for name in ("mixtral-8x7b", "qwen3-30b-a3b", "gemma-4-26b-a4b", "wan2.2-t2v-a14b", "hunyuan-image-3"):
        assert CARDS[name].is_moe, name


def test_measured_models_are_tier_b_with_their_source_and_only_they() -> None:
    measured = {card.id for card in CARDS.values() if card.tier == "B"}
    for name in ("llama-3.1-8b", "qwen3-235b-a22b", "gemma-3-27b", "nemotron-nano-9b-v2", "stable-diffusion-xl", "hunyuan-video"):
        assert name in measured
    for name in ("llama-3-8b", "gpt-oss-120b", "deepseek-v3.1", "flux.1-dev", "gemma-3-4b", "wan2.1-t2v-14b"):
        assert name not in measured
    assert len(measured) == 63
    for name in measured:
        card = CARDS[name]
        assert card.open_weights, name
        assert card.size_basis == "exact", name
        assert "measured in a public benchmark" in card.note, name


@pytest.mark.parametrize("name", ["gpt-realtime", "gpt-realtime-mini", "gpt-realtime-2.1", "gpt-live-1", "gpt-4o-realtime-preview"])
def test_a_model_that_one_speaks_with_chats(name: str) -> None:
    """A session with it is no odd use of it."""
    weighed = prepare(shipped_card(name), US, shipped_factors(), operation="chat")
    assert "operation-not-of-model" not in weighed.labels.warnings
