"""Who may read what of our own API. It must never tell a stranger that a call exists."""

from collections.abc import Mapping

from config.listen import is_loopback, parse_listen
from config.settings import Settings
from proxy.call import Caller
from proxy.errors import Forbidden

READING_ROLES = frozenset({"admin", "viewer"})


def figures_are_open(settings: Settings) -> bool:
    """True when nobody has a key and only this machine can ask."""
    return not settings.keys and is_loopback(parse_listen(settings.server.listen)[0])


def check_reader(caller: Caller, path: str) -> None:
    """Raises Forbidden unless the caller may see what is not of one caller alone, at `path`."""
    if caller.role not in READING_ROLES:
        raise Forbidden(
            f"{path} needs a key with role admin or viewer; send one, or set admin.listen to serve it on an address of its own.",
            code="admin_only",
        )


def may_read_call(caller: Caller, record: Mapping[str, object]) -> bool:
    """True for the key that made the call, and for an admin."""
    return caller.role == "admin" or record["caller_id"] == caller.id
