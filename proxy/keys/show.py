"""A key as people and programs read it. It must never show the key, nor its hash."""

from proxy.keys.issue import IssuedKey, state_of
from proxy.keys.moment import shown


def described(key: IssuedKey, now_ms: int) -> dict[str, object]:
    """What is known of the key; `hint` is how it ends, times are RFC 3339."""
    terms = key.terms
    return {
        "id": key.key_id,
        "name": terms.name,
        "role": terms.role,
        "state": state_of(key, now_ms),
        "hint": f"...{key.hint}",
        "created": shown(key.created_ms),
        "expires": shown(key.expires_ms),
        "revoked": shown(key.revoked_ms),
        "replaced_by": key.replaced_by,
        "tags": dict(terms.tags),
        "models": None if terms.models is None else list(terms.models),
        "brands": None if terms.brands is None else list(terms.brands),
        "requests_per_minute": terms.requests_per_minute,
        "tokens_per_minute": terms.tokens_per_minute,
        "note": terms.note,
    }
