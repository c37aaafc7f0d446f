"""Tells who calls from the key presented. It must never keep, log or return a key."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping

from config.settings import Key, Settings
from proxy.call import Caller
from proxy.errors import Unauthorized

REMEMBERED_KEYS = 10_000
ANONYMOUS = "anonymous"
_BEARER = b"bearer "


def presented_key(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The key in `authorization: Bearer`, `x-api-key` or `api-key`, or None."""
    return key_of(dict(headers))


def key_of(known: Mapping[bytes, bytes]) -> bytes | None:
    """As `presented_key`, for headers by name."""
    value = known.get(b"authorization")
    if value is not None:
        return value[7:].strip() if value[:7].lower() == _BEARER else value.strip()
    value = known.get(b"x-api-key", known.get(b"api-key"))
    return None if value is None else value.strip()


class Doorkeeper:
    """Identifies callers under the configured mode: keys of ours, the caller's own provider key (passthrough), or anyone (open)."""

    def __init__(self, settings: Settings, secret: bytes) -> None:
        self._mode = settings.auth_mode
        self._secret = secret
        self._keys: Mapping[bytes, Caller] = {_digest(key.key.encode()): _caller(key) for key in settings.keys}
        self._seen: dict[bytes, Caller] = {}

    def identify(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """The caller. Raises Unauthorized when keys of ours are required and none, or an unknown one, is presented."""
        return self.identify_known(dict(headers))

    def identify_known(self, known: Mapping[bytes, bytes]) -> Caller:
        """As `identify`, for headers by name."""
        key = key_of(known)
        if key is None:
            if self._mode == "keys":
                raise Unauthorized("no API key was sent; send `Authorization: Bearer <key>` with a key of this proxy.")
            return Caller(id=ANONYMOUS)
        digest = _digest(key)
        seen = self._seen.get(digest)
        return seen if seen is not None else self._learn(key, digest)

    def keyed_hash(self, text: str) -> str:
        """A keyed hash of a client's identifier, hex, 32 digits."""
        return hmac.new(self._secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]

    @property
    def secret_id(self) -> str:
        """Which secret the hashes were made with; tells nothing of the secret itself."""
        return hashlib.sha256(b"secret-id:" + self._secret).hexdigest()[:8]

    def _learn(self, key: bytes, digest: bytes) -> Caller:
        caller = self._keys.get(digest)
        if caller is None and self._mode == "keys":
            raise Unauthorized("the API key is not one of this proxy's keys; check the key or ask its administrator.")
        if caller is None:
            caller = Caller(id="key:" + self.keyed_hash(key.decode("latin-1")))
        if len(self._seen) >= REMEMBERED_KEYS:
            self._seen.clear()
        self._seen[digest] = caller
        return caller


def _digest(key: bytes) -> bytes:
    """Keys are looked up by digest, so that the comparison's time tells nothing of them."""
    return hashlib.sha256(key).digest()


def _caller(key: Key) -> Caller:
    return Caller(
        id=key.name,
        role=key.role,
        tags=tuple(sorted(key.tags.items())),
        models=None if key.models is None else frozenset(key.models),
        forwards_own_key=False,
    )
