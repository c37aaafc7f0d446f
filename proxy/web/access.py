"""Who may read what of our own API. It must never tell a stranger that a call exists."""

from collections.abc import Mapping

from config.listen import is_loopback, parse_listen
from config.settings import Settings
from proxy.call import Caller
from proxy.errors import Forbidden
from proxy.keys.issue import BRAND

READING_ROLES = frozenset({"admin", "viewer"})


def figures_are_open(settings: Settings) -> bool:
    """True when the configuration gives nobody a key and only this machine can ask; keys that were issued close them all the same."""
    return settings.auth_mode != "keys" and not settings.keys and is_loopback(parse_listen(settings.server.listen)[0])


def admin_is_local(settings: Settings) -> bool:
    """True when only this machine can ask at `admin.listen`: whoever can reach it may read figures, but not make keys from elsewhere."""
    return settings.admin.listen is None or is_loopback(parse_listen(settings.admin.listen)[0])


def check_reader(caller: Caller, path: str, *, of_all: bool = False) -> None:
    """Raises Forbidden unless the caller may see what is not of one caller alone, at `path`; of_all: what cannot be told apart by brand."""
    if caller.role not in READING_ROLES:
        raise Forbidden(
            f"{path} needs a key with role admin or viewer; send one, or set admin.listen to serve it on an address of its own.",
            code="admin_only",
        )

    if of_all and caller.brands is not None:
        raise Forbidden(
            f"key {caller.id!r} sees figures of its brands alone, and {path} holds everybody's; use another key.", code="admin_only"
        )


def check_admin(caller: Caller, path: str) -> None:
    """Raises Forbidden unless the caller may change who may call."""
    if caller.role != "admin":
        raise Forbidden(f"{path} needs a key with role admin; `grammage keys create NAME --role admin` makes one.", code="admin_only")


def may_read_call(caller: Caller, record: Mapping[str, object]) -> bool:
    """True for the key that made the call, for a viewer of the call's brand, and for an admin."""
    if caller.role == "admin" or record["caller_id"] == caller.id:
        return True
    tags = record["tags"]
    return caller.brands is not None and isinstance(tags, Mapping) and tags.get(BRAND) in caller.brands
