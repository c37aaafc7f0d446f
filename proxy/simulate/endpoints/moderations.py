"""Speaks POST /v1/moderations: scores that depend on the text alone. It must never judge.

Rule: a text is flagged for each category whose name it holds, so that staging can order a flag; every other score is small.
"""

from proxy.simulate import wording
from proxy.simulate.endpoints import sampling
from proxy.simulate.exchange import Ask, Draft, JsonObject, Refused

DEFAULT_MODEL = "sim-moderate"
_MOST_INPUTS = 2048
_FLAGGED = 0.98
_SMALL = 0.001
# category -> whether pictures are scored too
_CATEGORIES = {
    "harassment": False,
    "harassment/threatening": False,
    "hate": False,
    "hate/threatening": False,
    "illicit": False,
    "illicit/violent": False,
    "self-harm": True,
    "self-harm/instructions": True,
    "self-harm/intent": True,
    "sexual": True,
    "sexual/minors": False,
    "violence": True,
    "violence/graphic": True,
}


def moderations(ask: Ask) -> Draft:
    """The scores of one or several inputs."""
    model = sampling.model_of(ask.body, DEFAULT_MODEL)
    results = [_result(text, pictures) for text, pictures in _inputs_of(ask.body)]
    return Draft(document={"id": f"modr-{ask.call_id}", "model": model, "results": results}, model=model)


def _inputs_of(body: JsonObject) -> list[tuple[str, int]]:
    """Every input as its text and its pictures: a list of parts is one input, a list of texts is several."""
    given = body.get("input")
    if isinstance(given, str):
        return [(given, 0)]
    if isinstance(given, list) and 0 < len(given) <= _MOST_INPUTS:
        if all(isinstance(item, str) for item in given):
            return [(item, 0) for item in given]
        if all(isinstance(item, dict) for item in given):
            texts = [item["text"] for item in given if isinstance(item.get("text"), str)]
            return [("\n".join(texts), sum(item.get("type") == "image_url" for item in given))]
    raise Refused(400, "Simulated: 'input' must be a text, a list of texts, or a list of text and image parts.", param="input")


def _result(text: str, pictures: int) -> JsonObject:
    lowered = text.lower()
    seed = wording.seed_of(text, pictures)
    held = {name: name in lowered for name in _CATEGORIES}
    scores = {name: _FLAGGED if held[name] else _SMALL * wording.pick(range(1, 10), seed, name) / 10 for name in _CATEGORIES}
    kinds = {name: [*(["text"] if text else []), *(["image"] if pictures and seen else [])] for name, seen in _CATEGORIES.items()}
    return {"flagged": any(held.values()), "categories": held, "category_scores": scores, "category_applied_input_types": kinds}
