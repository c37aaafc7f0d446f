"""Speaks GET /v1/models and /v1/models/{id}: the simulated models. It must never list what it does not serve."""

from config.providers import Dialect
from proxy.simulate.endpoints.sampling import MODELS, no_such_model
from proxy.simulate.envelope import dialect_of
from proxy.simulate.exchange import Ask, Draft, JsonObject

_CREATED_S = 1_767_225_600  # 2026-01-01, so that lists stay equal from run to run


def models(ask: Ask) -> Draft:
    """The list of models."""
    dialect = dialect_of(ask.asked)
    cards = [_card(name, dialect) for name in MODELS]
    if dialect == "gemini":
        return Draft(document={"models": cards})
    if dialect == "anthropic":
        return Draft(document={"data": cards, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]})
    return Draft(document={"object": "list", "data": cards})


def model(ask: Ask) -> Draft:
    """One model by its name."""
    name = ask.asked.path.rpartition("/")[2]
    if name not in MODELS:
        raise no_such_model(name)
    return Draft(document=_card(name, dialect_of(ask.asked)))


def _card(name: str, dialect: Dialect) -> JsonObject:
    if dialect == "gemini":
        return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": ["generateContent", "countTokens"]}
    if dialect == "anthropic":
        return {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
    return {"id": name, "object": "model", "created": _CREATED_S, "owned_by": "simulated"}
