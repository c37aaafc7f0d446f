"""Refuses the name of a set of estimates that the ledger does not hold. It must never let a slip of the pen pass for an empty period."""

from contextlib import closing

from proxy.errors import StartError


def must_be_known(name: str | None, url: str) -> None:
    """Raises StartError where there is no such set; None is no set: the estimates made with the calls."""
    if name is None:
        return
    from proxy.ledger.set_ledger import SetLedger  # slow (SQLAlchemy); not for the help

    with closing(SetLedger(url)) as ledger:
        known = sorted(ledger.sets())
    if name not in known:
        raise StartError(
            f"there is no set {name!r} in this ledger; sets: {', '.join(known) or 'none'}; without --set: the estimates made with the calls"
        )
