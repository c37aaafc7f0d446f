"""Speaks GET /v1/models and /v1/models/{id}: the simulated models. It must never list what it does not serve."""

from proxy.simulate.endpoints.sampling import MODELS, no_such_model
from proxy.simulate.exchange import Ask, Draft, JsonObject

_CREATED_S = 1_767_225_600  # 2026-01-01, so that lists stay equal from run to run


def models(ask: Ask) -> Draft:
    """The list of models."""
    return Draft(document={"object": "list", "data": [_card(name) for name in MODELS]})


def model(ask: Ask) -> Draft:
    """One model by its name."""
    name = ask.asked.path.rpartition("/")[2]
    if name not in MODELS:
        raise no_such_model(name)
    return Draft(document=_card(name))


def _card(name: str) -> JsonObject:
    return {"id": name, "object": "model", "created": _CREATED_S, "owned_by": "simulated"}
