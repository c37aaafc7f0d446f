"""Marks a configuration, so that replicas which run by different ones are found out. It must never let anything of it be guessed."""

import hashlib
import hmac

from config.settings import Settings

MARK_DIGITS = 16


def config_mark(settings: Settings, secret: bytes) -> str:
    """The same for replicas with the same settings, keys and hashing secret, wherever they listen; keyed, so that it tells nothing."""
    text = settings.model_dump_json(exclude={"server": {"listen"}, "admin": {"listen"}})
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()[:MARK_DIGITS]
