"""Names of models as Hugging Face spells them, and the build that each must lead to. It must never let a published build go unused."""

import time

import pytest

from config.tables import Tables, load_tables

# repository, card, layers, key-value bytes of one token at 16 bits
REPOSITORIES = [
    ("Qwen/Qwen2-72B-Instruct", "qwen2-72b", 80, 327_680),
    ("Qwen/Qwen2-7B-Instruct", "qwen2-7b", 28, 57_344),
    ("Qwen/Qwen2-57B-A14B-Instruct", "qwen2-57b-a14b", 28, 57_344),
    ("Qwen/Qwen2-VL-7B-Instruct", "qwen2-vl-7b", 28, 57_344),
    ("Qwen/Qwen1.5-110B-Chat", "qwen1.5-110b", 80, 327_680),
    ("Qwen/Qwen1.5-72B-Chat", "qwen1.5-72b", 80, 2_621_440),
    ("Qwen/Qwen1.5-MoE-A2.7B-Chat", "qwen1.5-moe-a2.7b", 24, 196_608),
    ("Qwen/Qwen2.5-72B-Instruct-AWQ", "qwen2.5-72b", 80, 327_680),
    ("Qwen/Qwen2.5-Math-7B-Instruct", "qwen2.5-7b", 28, 57_344),
    ("Qwen/Qwen2.5-Coder-14B-Instruct", "qwen2.5-coder-14b", 48, 196_608),
    ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2.5-vl-7b", 28, 57_344),
    ("Qwen/Qwen2.5-Omni-7B", "qwen2.5-omni-7b", 28, 57_344),
    ("Qwen/QwQ-32B-Preview", "qwq-32b", 64, 262_144),
    ("Qwen/Qwen3-8B-Base", "qwen3-8b", 36, 147_456),
    ("Qwen/Qwen3-30B-A3B-Thinking-2507", "qwen3-30b-a3b", 48, 98_304),
    ("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", "qwen3-235b-a22b", 94, 192_512),
    ("Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8", "qwen3-coder-480b-a35b", 62, 253_952),
    ("Qwen/Qwen3-Next-80B-A3B-Instruct-FP8", "qwen3-next-80b-a3b", 48, 24_576),
    ("Qwen/Qwen3-VL-4B-Instruct", "qwen3-vl-4b", 36, 147_456),
    ("meta-llama/Llama-2-7b-chat-hf", "llama-2-7b", 32, 524_288),
    ("meta-llama/Llama-2-70b-chat-hf", "llama-2-70b", 80, 327_680),
    ("TheBloke/Llama-2-13B-chat-GPTQ", "llama-2-13b", 40, 819_200),
    ("huggyllama/llama-65b", "llama-65b", 80, 2_621_440),
    ("lmsys/vicuna-13b-v1.5", "llama-2-13b", 40, 819_200),
    ("meta-llama/Meta-Llama-3.1-405B-Instruct-FP8", "llama-3.1-405b", 126, 516_096),
    ("neuralmagic/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "llama-3.1-8b", 32, 131_072),
    ("unsloth/Llama-3.3-70B-Instruct-bnb-4bit", "llama-3.3-70b", 80, 327_680),
    ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "llama-3.3-70b", 80, 327_680),
    ("nvidia/Llama-3.1-Nemotron-Nano-8B-v1", "llama-3.1-8b", 32, 131_072),
    ("allenai/Llama-3.1-Tulu-3-70B", "llama-3.1-70b", 80, 327_680),
    ("meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8", "llama-4-maverick", 48, 49_152),
    ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama-4-scout", 48, 49_152),
    ("HuggingFaceH4/zephyr-7b-beta", "mistral-7b", 32, 131_072),
    ("mistralai/Mixtral-8x22B-Instruct-v0.1", "mixtral-8x22b", 56, 229_376),
    ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", "mistral-small-3.2", 40, 163_840),
    ("deepseek-ai/DeepSeek-V2-Chat", "deepseek-v2", 60, 69_120),
    ("deepseek-ai/DeepSeek-V2-Lite-Chat", "deepseek-v2-lite", 27, 31_104),
    ("deepseek-ai/DeepSeek-V2.5-1210", "deepseek-v2.5", 60, 69_120),
    ("deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct", "deepseek-coder-v2-lite", 27, 31_104),
    ("deepseek-ai/DeepSeek-V3-0324", "deepseek-v3", 61, 70_272),
    ("deepseek-ai/DeepSeek-V3.1", "deepseek-v3.1", 61, 70_272),
    ("deepseek-ai/DeepSeek-V3.1-Terminus", "deepseek-v3.1", 61, 70_272),
    ("deepseek-ai/DeepSeek-R1-0528", "deepseek-r1", 61, 70_272),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "deepseek-r1-distill-qwen-1.5b", 28, 28_672),
    ("deepseek-ai/deepseek-llm-67b-chat", "deepseek-llm-67b", 95, 389_120),
    ("tiiuae/falcon-40b-instruct", "falcon-40b", 60, 122_880),
    ("tiiuae/falcon-180B-chat", "falcon-180b", 80, 163_840),
    ("tiiuae/Falcon3-10B-Instruct", "falcon3-10b", 40, 163_840),
    ("EleutherAI/pythia-12b", "pythia-12b", 36, 737_280),
    ("EleutherAI/pythia-6.9b-deduped", "pythia-6.9b", 32, 524_288),
    ("EleutherAI/gpt-j-6b", "gpt-j-6b", 28, 458_752),
    ("EleutherAI/gpt-neox-20b", "gpt-neox-20b", 44, 1_081_344),
    ("bigscience/bloom", "bloom-176b", 70, 4_014_080),
    ("facebook/opt-66b", "opt-66b", 64, 2_359_296),
    ("mosaicml/mpt-30b-chat", "mpt-30b", 48, 1_376_256),
    ("databricks/dbrx-instruct", "dbrx", 40, 163_840),
    ("01-ai/Yi-34B-Chat", "yi-34b", 60, 245_760),
    ("01-ai/Yi-1.5-9B-Chat", "yi-1.5-9b", 48, 98_304),
    ("xai-org/grok-1", "grok-1", 64, 262_144),
    ("Snowflake/snowflake-arctic-instruct", "snowflake-arctic", 35, 143_360),
    ("LGAI-EXAONE/EXAONE-3.5-7.8B-Instruct", "exaone-3.5-7.8b", 32, 131_072),
    ("LGAI-EXAONE/EXAONE-4.0-32B", "exaone-4.0-32b", 64, 65_536),
    ("internlm/internlm2_5-7b-chat", "internlm2.5-7b", 32, 131_072),
    ("internlm/internlm3-8b-instruct", "internlm3-8b", 48, 49_152),
    ("allenai/OLMo-2-1124-13B-Instruct", "olmo-2-13b", 40, 819_200),
    ("allenai/Olmo-3-32B-Think", "olmo-3-32b", 64, 65_536),
    ("allenai/OLMoE-1B-7B-0924-Instruct", "olmoe-1b-7b", 16, 131_072),
    ("allenai/Molmo-72B-0924", "molmo-72b", 80, 327_680),
    ("allenai/Molmo-7B-D-0924", "molmo-7b-d", 28, 57_344),
    ("HuggingFaceTB/SmolLM2-1.7B-Instruct", "smollm2-1.7b", 24, 196_608),
    ("microsoft/phi-2", "phi-2", 32, 327_680),
    ("microsoft/Phi-3-small-8k-instruct", "phi-3-small", 32, 131_072),
    ("microsoft/Phi-3.5-vision-instruct", "phi-3.5-vision", 32, 393_216),
    ("google/gemma-2b-it", "gemma-2b", 18, 18_432),
    ("google/gemma-1.1-7b-it", "gemma-7b", 28, 458_752),
    ("google/gemma-3-27b-pt", "gemma-3-27b", 62, 81_920),
    ("ibm-granite/granite-3.1-2b-instruct", "granite-3.3-2b", 40, 81_920),
    ("ibm-granite/granite-34b-code-instruct-8k", "granite-34b-code", 88, 45_056),
    ("ai21labs/AI21-Jamba-1.5-Large", "jamba-1.5-large", 72, 36_864),
    ("openai/gpt-oss-120b", "gpt-oss-120b", 36, 36_864),
    ("moonshotai/Kimi-K2-Instruct", "kimi-k2", 61, 70_272),
    ("moonshotai/Kimi-K2-Instruct-0905", "kimi-k2", 61, 70_272),
    ("moonshotai/Kimi-VL-A3B-Instruct", "kimi-vl-a3b", 27, 31_104),
    ("moonshotai/Kimi-Linear-48B-A3B-Instruct", "kimi-linear-48b-a3b", 27, 8_064),
    ("zai-org/GLM-4.5", "glm-4.5", 92, 376_832),
    ("zai-org/GLM-4.5-Air-FP8", "glm-4.5-air", 46, 188_416),
    ("zai-org/GLM-4-32B-0414", "glm-4-32b", 61, 62_464),
    ("MiniMaxAI/MiniMax-Text-01", "minimax-text-01", 80, 40_960),
    ("MiniMaxAI/MiniMax-M1-80k", "minimax-m1", 80, 40_960),
    ("tencent/Hunyuan-A13B-Instruct", "hunyuan-a13b", 32, 131_072),
    ("baidu/ERNIE-4.5-300B-A47B-PT", "ernie-4.5-300b-a47b", 54, 221_184),
    ("baidu/ERNIE-4.5-21B-A3B-Paddle", "ernie-4.5-21b-a3b", 28, 57_344),
    ("inclusionAI/Ling-flash-2.0", "ling-flash-2.0", 32, 65_536),
    ("inclusionAI/Ring-1T", "ring-1t", 80, 327_680),
    ("ByteDance-Seed/Seed-OSS-36B-Instruct", "seed-oss-36b", 64, 262_144),
    ("XiaomiMiMo/MiMo-7B-RL", "mimo-7b", 36, 147_456),
    ("rednote-hilab/dots.llm1.inst", "dots.llm1", 62, 1_015_808),
    ("OpenGVLab/InternVL3-78B", "internvl3-78b", 80, 327_680),
    ("OpenGVLab/InternVL3_5-38B", "internvl3.5-38b", 64, 262_144),
    ("llava-hf/llava-onevision-qwen2-7b-ov-hf", "llava-onevision-qwen2-7b", 28, 57_344),
]


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables()


@pytest.mark.parametrize(("name", "card_id", "layers", "kv_bytes"), REPOSITORIES, ids=[row[0] for row in REPOSITORIES])
def test_a_repository_leads_to_its_card_and_build(tables: Tables, name: str, card_id: str, layers: int, kv_bytes: int) -> None:
    found = tables.catalogue.resolve(name)
    assert found.card.id == card_id
    assert found.match in ("exact", "alias", "dated")
    assert found.warnings == ()
    assert found.card.architecture is not None
    assert (found.card.architecture.layers, found.card.architecture.kv_bytes_per_token) == (layers, kv_bytes)


def test_every_open_chat_model_with_a_build_resolves_from_its_own_repository(tables: Tables) -> None:
    lost = []
    for card in tables.catalogue.cards():
        if card.architecture is None:
            continue
        repository = card.architecture.url.removeprefix("https://huggingface.co/").partition("/blob/")[0]
        found = tables.catalogue.resolve(repository)
        if found.match not in ("exact", "alias", "dated") or found.card.architecture is None:
            lost.append((repository, card.id, found.match, found.card.id))
    assert not lost


def test_all_tables_load_in_less_than_sixty_milliseconds() -> None:
    spent = []
    for _ in range(5):
        start = time.process_time()
        load_tables()
        spent.append(time.process_time() - start)
    assert min(spent) < 0.06
