"""What a key of ours is, and how one is made, replaced and ended. It must never keep, log or show the key after it was issued."""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field, replace
from typing import Literal

from config.tag_rules import NAME_RULE, VALUE_RULE, is_tag_name, is_tag_value
from proxy.call import Caller, RateLimits, Role

PREFIX = "gk-"
"""Every key that we issue begins so; a caller's key that begins so is ours or nobody's, and never leaves for a provider."""

SECRET_BYTES = 32
ID_BYTES = 10
HINT_CHARS = 4
BRAND = "brand"
LONGEST_NAME = 64
LONGEST_NOTE = 256
MOST_VALUES = 64
LARGEST_LIMIT = 1_000_000_000
ROLES: tuple[Role, ...] = ("caller", "viewer", "observer", "admin")
State = Literal["active", "replaced", "expired", "revoked"]
"""replaced: a newer key of the name is there, and this one works until its grace ends."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@ -]*")
_RESERVED = ("key_", "anonymous")


class BadKey(ValueError):
    """What is asked of a key cannot be; the message says why. `field`: of the request that made it."""

    def __init__(self, message: str, field_name: str) -> None:
        super().__init__(message)
        self.field = field_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a key may do. tags are bound to it; models: aliases or patterns, None for all; brands: what a viewer sees, None for all."""

    name: str
    role: Role = "caller"
    tags: tuple[tuple[str, str], ...] = ()
    models: tuple[str, ...] | None = None
    brands: tuple[str, ...] | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedKey:
    """A key as it is kept. Times in ms since 1970 UTC; revoked_ms may lie ahead, for a replaced key in its grace."""

    key_id: str
    hash: str = field(repr=False)
    hint: str
    terms: Terms
    created_ms: int
    expires_ms: int | None = None
    revoked_ms: int | None = None
    replaced_by: str | None = None

    @property
    def ends_ms(self) -> int | None:
        """When it stops working, None for never."""
        ends = [at for at in (self.expires_ms, self.revoked_ms) if at is not None]
        return min(ends, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key at the one moment when it can be shown."""

    secret: str = field(repr=False)
    kept: IssuedKey


def digest(key: bytes) -> bytes:
    """What a key is looked up by. The key has 256 random bits: a plain hash of it cannot be guessed back."""
    return hashlib.sha256(key).digest()


def issue(terms: Terms, *, now_ms: int, expires_ms: int | None = None) -> NewKey:
    """A fresh key on these terms. Raises BadKey."""
    check(terms)
    if expires_ms is not None and expires_ms <= now_ms:
        raise BadKey("the key would have expired already; name a moment that lies ahead", "expires")
    secret = PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).rstrip(b"=").decode()
    kept = IssuedKey(
        key_id="key_" + base64.b32encode(secrets.token_bytes(ID_BYTES)).decode().lower(),
        hash=digest(secret.encode()).hex(),
        hint=secret[-HINT_CHARS:],
        terms=terms,
        created_ms=now_ms,
        expires_ms=expires_ms,
    )
    return NewKey(secret=secret, kept=kept)


def successor(old: IssuedKey, *, now_ms: int, expires_ms: int | None) -> NewKey:
    """A key that takes over the old one's terms; without `expires_ms` it lives as long anew as the old one was made for."""
    if expires_ms is None and old.expires_ms is not None:
        expires_ms = now_ms + old.expires_ms - old.created_ms
    return issue(old.terms, now_ms=now_ms, expires_ms=expires_ms)


def ended(old: IssuedKey, *, at_ms: int, replaced_by: str | None) -> IssuedKey:
    """The key as it stands once it is revoked or replaced; an earlier end stays."""
    at_ms = at_ms if old.revoked_ms is None else min(at_ms, old.revoked_ms)
    return replace(old, revoked_ms=at_ms, replaced_by=replaced_by or old.replaced_by)


def state_of(key: IssuedKey, now_ms: int) -> State:
    """What has become of the key."""
    if key.revoked_ms is not None and key.revoked_ms <= now_ms:
        return "revoked"
    if key.expires_ms is not None and key.expires_ms <= now_ms:
        return "expired"
    return "active" if key.revoked_ms is None else "replaced"


def caller_of(key: IssuedKey) -> Caller:
    """Who calls with this key: its name, so that a replaced key's successor is the same caller."""
    terms = key.terms
    limits = RateLimits(requests_per_minute=terms.requests_per_minute, tokens_per_minute=terms.tokens_per_minute)
    return Caller(
        id=terms.name,
        role=terms.role,
        tags=terms.tags,
        models=None if terms.models is None else frozenset(terms.models),
        forwards_own_key=False,
        brands=None if terms.brands is None else frozenset(terms.brands),
        limits=limits if limits.any else None,
    )


def check(terms: Terms) -> None:
    """Raises BadKey for terms that no key may have."""
    _check_name(terms.name)
    if terms.role not in ROLES:
        raise BadKey(f"the role {terms.role!r} is none of {', '.join(ROLES)}", "role")
    for name, value in terms.tags:
        if not is_tag_name(name):
            raise BadKey(f"the tag name {name[:40]!r} is not valid; use {NAME_RULE}", "tags")
        if not is_tag_value(value):
            raise BadKey(f"tag {name!r} must have {VALUE_RULE}", "tags")
    if terms.brands is not None and terms.role != "viewer":
        raise BadKey(f"brands bound what a viewer sees, and the role is {terms.role}; bind a caller by a tag, brand=acme", "brands")
    _check_lists(terms)
    for field_name, limit in (("requests_per_minute", terms.requests_per_minute), ("tokens_per_minute", terms.tokens_per_minute)):
        if limit is not None and not 1 <= limit <= LARGEST_LIMIT:
            raise BadKey(f"{field_name} is a whole number from 1 to {LARGEST_LIMIT}; leave it out for no limit", field_name)
    if terms.note is not None and not 0 < len(terms.note) <= LONGEST_NOTE:
        raise BadKey(f"a note has 1 to {LONGEST_NOTE} characters", "note")


def _check_name(name: str) -> None:
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name) or name != name.strip():
        raise BadKey(f"a key's name has 1 to {LONGEST_NAME} letters, digits, spaces or . _ @ -, and begins with a letter or digit", "name")
    if name.startswith(_RESERVED[0]) or name == _RESERVED[1]:
        raise BadKey(f"the name {name!r} is one that ids and records use themselves; choose another", "name")


def _check_lists(terms: Terms) -> None:
    for field_name, values in (("brands", terms.brands), ("models", terms.models), ("tags", terms.tags)):
        if values is not None and (len(values) > MOST_VALUES or len(set(values)) < len(values)):
            raise BadKey(f"{field_name} are at most {MOST_VALUES}, each named once", field_name)
    for brand in terms.brands or ():
        if not is_tag_value(brand):
            raise BadKey(f"a brand has {VALUE_RULE}", "brands")
    for model in terms.models or ():
        if not model or len(model) > LONGEST_NOTE or not model.isprintable() or "*" in model[:-1]:
            raise BadKey("a model is an alias, and `*` stands at its end, such as gpt-4o*", "models")
    if terms.models == () or terms.brands == ():
        raise BadKey("an empty list would allow nothing; leave it out for all", "models" if terms.models == () else "brands")
