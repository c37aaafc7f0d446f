"""Which published ranks cut a model's text into tokens, by the family in its name. It must never call a stand-in exact.

Sources: tiktoken's own table for OpenAI's models; google-genai's local tokenizer counts Gemini 2 and 3 by Gemma 3's vocabulary; open
models by the tokenizer that they publish. Nothing is published for Claude 3 and later, Grok, Command R, Nova: o200k stands in for them,
for Claude times the ratio that others measured (English prose +16 %, mathematics +21 %, Python +30 % against tiktoken, 2025). The
vocabulary of Claude 4.7 and later makes up to 1.35 times as many tokens of one text, by its vendor's word: the middle, 1.17, is taken.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

ToolStyle = Literal["typescript", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """ranks: the vocabulary's name. exact: it is the model's own; else `ratio` of its tokens come to one of the model's.

    tools: how tool definitions stand in the prompt, and `tool_tokens` that the provider adds to them once.
    """

    ranks: str
    exact: bool = True
    ratio: float = 1.0
    tools: ToolStyle = "json"
    tool_tokens: int = 0


CLAUDE_TOOL_TOKENS = 346
"""The system prompt that makes Claude call tools, as its vendor's page on tool use states it."""

_O200K = Family(ranks="o200k_base", tools="typescript")
_CL100K = Family(ranks="cl100k_base", tools="typescript")
_STAND_IN = Family(ranks="o200k_base", exact=False)
_CLAUDE = Family(ranks="o200k_base", exact=False, ratio=1.16, tool_tokens=CLAUDE_TOOL_TOKENS)
_CLAUDE_5 = Family(ranks="o200k_base", exact=False, ratio=1.36, tool_tokens=CLAUDE_TOOL_TOKENS)
_GEMINI = Family(ranks="gemma3")
_GEMMA_2 = Family(ranks="gemma2")
_LLAMA_2 = Family(ranks="llama2")
_LLAMA_3 = Family(ranks="llama3")
_QWEN = Family(ranks="qwen3")
_SPM_MISTRAL = Family(ranks="mistral_v2")
_TEKKEN = Family(ranks="mistral_v3")
_GLM = Family(ranks="glm4")

FAMILIES: tuple[tuple[str, Family], ...] = (
    (r"gpt-?oss", Family(ranks="o200k_base")),
    (r"deepseek.*distill.*qwen|distill-qwen", _QWEN),
    (r"deepseek.*distill.*llama|distill-llama", _LLAMA_3),
    (r"gpt-3\.?5|gpt-4(?![o.\d])|text-embedding-(3|ada)|davinci-002|babbage-002", _CL100K),
    (r"gpt-|chatgpt|codex|computer-use|omni-moderation|o[1-9](?!\d)", _O200K),
    (r"whisper", Family(ranks="whisper")),
    (r"claude-(3|instant|2|v)|claude-(opus|sonnet|haiku)-4(?!-[7-9]|\.[7-9])", _CLAUDE),
    (r"claude", _CLAUDE_5),
    (r"gemma-?4", Family(ranks="gemma4")),
    (r"gemini-1|gemma-?[12]", _GEMMA_2),
    (r"gemini|gemma|embedding-?gemma", _GEMINI),
    (r"code-?llama", Family(ranks="codellama")),
    (r"llama-?2|vicuna|tinyllama", _LLAMA_2),
    (r"llama-?3", _LLAMA_3),
    (r"deepseek", Family(ranks="deepseek_v3")),
    (
        r"mixtral|(open-)?mistral-(7b|tiny)|codestral-(22b|2405)|mistral-(small-2402|small-2409|medium-2312)|mistral-large-2(40[27]|411)",
        _SPM_MISTRAL,
    ),
    (r"mistral|ministral|magistral|codestral|devstral|pixtral|voxtral", _TEKKEN),
    (r"qwen-?3\.[5-9]|qwen-?[4-9]", _STAND_IN),
    (r"qwen|qwq|qvq", _QWEN),
    (r"(chat)?glm-?4", _GLM),
    (r"kimi|moonshot", Family(ranks="kimi_k2")),
    (r"phi-?4(?!-(mini|multimodal))", Family(ranks="phi4")),
    (r"phi-?4", _O200K),
    (r"phi-?3", _LLAMA_2),
    (r"olmo-?2", Family(ranks="olmo2")),
)
"""In order: the first pattern that stands at a word's beginning in the name wins; any other model is counted by a stand-in."""

_PATTERNS = tuple((re.compile(rf"(?:^|[/.:@_\-])(?:{pattern})"), family) for pattern, family in FAMILIES)


@lru_cache(maxsize=1024)
def family_of(model: str) -> Family:
    """The family of `model`, whatever stands before its name: a vendor, a region, a path."""
    name = model.lower()
    return next((family for pattern, family in _PATTERNS if pattern.search(name)), _STAND_IN)


def is_known(model: str) -> bool:
    """True when the name tells a family."""
    return family_of(model) is not _STAND_IN
