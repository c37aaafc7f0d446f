"""Issued keys as values: what they are made of, when they end, what terms they may have; and the sums of sliding windows."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Settings
from proxy.auth import Doorkeeper
from proxy.errors import Unauthorized
from proxy.keys.desk import Desk, UnknownKey, row_of
from proxy.keys.issue import BadKey, IssuedKey, Terms, caller_of, ended, issue, state_of, successor
from proxy.keys.keyring import Keyring
from proxy.keys.moment import moment_ms, shown, span_ms
from proxy.keys.windows import Window
from proxy.ledger.base import Fetched, Values
from proxy.ledger.key_store import KeyStore

NOW = 1_790_000_000_000
DAY = 86_400_000
STUDIO = Terms(name="studio")


def kept(expires_ms: int | None = None, terms: Terms = STUDIO) -> IssuedKey:
    return issue(terms, now_ms=NOW, expires_ms=expires_ms).kept


def test_a_key_has_256_random_bits_and_is_kept_by_its_hash_alone() -> None:
    made = [issue(STUDIO, now_ms=NOW) for _ in range(50)]
    assert len({new.secret for new in made}) == len({new.kept.key_id for new in made}) == 50
    for new in made:
        assert new.secret.startswith("gk-")
        assert len(new.secret) == 3 + 43
        assert new.kept.hash == hashlib.sha256(new.secret.encode()).hexdigest()
        assert new.secret.endswith(new.kept.hint)


def test_a_key_shows_neither_itself_nor_its_hash() -> None:
    new = issue(STUDIO, now_ms=NOW)
    assert new.secret not in repr(new)
    assert new.kept.hash not in repr(new)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a" * 65}, "name"),
        ({"name": "key_1"}, "name"),
        ({"name": "key:abc"}, "name"),
        ({"name": "anonymous"}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "end "}, "name"),
        ({"role": "owner"}, "role"),
        ({"tags": (("Brand", "acme"),)}, "tags"),
        ({"tags": (("brand", "a\x00"),)}, "tags"),
        ({"models": ()}, "models"),
        ({"models": ("a*b",)}, "models"),
        ({"models": ("x", "x")}, "models"),
        ({"brands": ("acme",)}, "brands"),
        ({"role": "viewer", "brands": ()}, "brands"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"tokens_per_minute": -1}, "tokens_per_minute"),
        ({"note": ""}, "note"),
    ],
)
def test_terms_that_no_key_may_have_are_refused(changes: dict[str, object], field: str) -> None:
    with pytest.raises(BadKey) as caught:
        kept(terms=replace(STUDIO, **changes))  # type: ignore[arg-type]  # a table of wrong values
    assert caught.value.field == field


def test_a_key_that_would_have_ended_is_not_made() -> None:
    with pytest.raises(BadKey, match="expired already"):
        kept(expires_ms=NOW)


def test_a_key_is_active_then_expired() -> None:
    key = kept(NOW + DAY)
    assert (state_of(key, NOW), state_of(key, NOW + DAY - 1), state_of(key, NOW + DAY)) == ("active", "active", "expired")
    assert key.ends_ms == NOW + DAY


def test_a_replaced_key_works_until_its_grace_ends() -> None:
    old = ended(kept(), at_ms=NOW + DAY, replaced_by="key_new")
    assert (state_of(old, NOW), state_of(old, NOW + DAY)) == ("replaced", "revoked")
    assert ended(old, at_ms=NOW + 2 * DAY, replaced_by=None).revoked_ms == NOW + DAY, "an earlier end stays"
    assert ended(old, at_ms=NOW, replaced_by=None).replaced_by == "key_new"


def test_a_successor_has_the_terms_and_the_lifetime_of_the_key_before_it() -> None:
    old = kept(NOW + 90 * DAY)
    new = successor(old, now_ms=NOW + 80 * DAY, expires_ms=None).kept
    assert (new.terms, new.expires_ms) == (old.terms, NOW + 170 * DAY)
    assert new.key_id != old.key_id
    assert successor(old, now_ms=NOW, expires_ms=NOW + 1).kept.expires_ms == NOW + 1


def test_a_caller_is_known_by_the_keys_name_and_never_forwards_it() -> None:
    terms = Terms(name="eyes", role="viewer", tags=(("market", "fr"),), models=("a*",), brands=("acme",), tokens_per_minute=9)
    caller = caller_of(kept(terms=terms))
    assert (caller.id, caller.role, caller.tags, caller.forwards_own_key) == ("eyes", "viewer", (("market", "fr"),), False)
    assert (caller.models, caller.brands) == (frozenset({"a*"}), frozenset({"acme"}))
    assert caller.limits is not None
    assert caller.limits.tokens_per_minute == 9
    assert caller_of(kept()).limits is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90d", NOW + 90 * DAY),
        ("24h", NOW + DAY),
        ("0s", NOW),
        ("2w", NOW + 14 * DAY),
        ("2027-01-31", 1_801_440_000_000),
        ("2027-01-31T12:00:00Z", 1_801_396_800_000),
        ("2027-01-31T12:00", 1_801_396_800_000),
        ("2027-01-31T13:00:00+01:00", 1_801_396_800_000),
    ],
)
def test_a_moment_is_a_span_a_days_end_or_an_instant(text: str, moment: int) -> None:
    assert moment_ms(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "soon", "90", "d", "-1d", "2027-02-31", "1.5h", "9999-12-31", "999999w"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no moment|outside"):
        moment_ms(text, NOW)


def test_a_moment_is_shown_as_rfc_3339() -> None:
    assert shown(moment_ms("2027-01-31", NOW)) == "2027-02-01T00:00:00Z"
    assert shown(None) is None
    assert span_ms("1h") == 3_600_000


STATIC = {"key": "gk-static-1", "name": "agency", "expires": "2027-01-31"}
LAST_DAY_MS = 1_801_440_000_000 - 1


def keeper(now_ms: int, **settings: object) -> Doorkeeper:
    return Doorkeeper(Settings.model_validate(settings), b"secret", now_ms=lambda: now_ms)


def asks(key: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {key}".encode()}


def test_a_configured_key_works_through_its_last_day() -> None:
    assert keeper(LAST_DAY_MS - 1, keys=[STATIC]).identify_known(asks("gk-static-1")).id == "agency"
    door = keeper(LAST_DAY_MS, keys=[STATIC])
    for _ in range(2):
        with pytest.raises(Unauthorized, match="'agency' expired at 2027-01-31T23:59:59Z") as caught:
            door.identify_known(asks("gk-static-1"))
    assert "gk-static-1" not in caught.value.message


@pytest.mark.parametrize("mode", ["passthrough", "open", "keys"])
def test_what_looks_like_a_key_of_ours_is_never_taken_for_a_providers(mode: str) -> None:
    door = keeper(NOW, auth=mode)
    for known in (asks("gk-x"), {b"x-api-key": b"gk-x"}, {**asks("sk-theirs"), b"api-key": b"gk-x"}, {b"x-goog-api-key": b"gk-x"}):
        with pytest.raises(Unauthorized):
            door.identify_known(known)


def test_keys_that_nobody_knows_are_not_remembered() -> None:
    door = keeper(NOW)
    for number in range(100):
        with pytest.raises(Unauthorized):
            door.identify_known(asks(f"gk-{number}"))
    assert not door._seen


def window(**changes: object) -> Window:
    facts = {"limit": 100, "length_s": 60, "previous": 0, "previous_s": 0.0, "current": 0, "current_s": 0.0}
    return Window(**{**facts, **changes})  # type: ignore[arg-type]  # a table of facts


def test_the_window_before_counts_by_the_share_that_still_lies_within_the_minute() -> None:
    half = window(previous=80, previous_s=30.0, current=10, current_s=30.0)
    assert (half.used, half.room) == (50, 50)
    assert half.wait_s(50) == 0.0
    assert half.wait_s(60) == pytest.approx(6.751), "80 x 23.249 / 60 is 30 and a fraction: room for 60 beside the 10"
    assert window(current=100, current_s=20.0).wait_s(100) == pytest.approx(79.401), "100 x 0.599 / 60 is less than 1"


@given(
    limit=st.integers(1, 10_000),
    previous=st.integers(0, 10_000),
    current=st.integers(0, 10_000),
    into_s=st.floats(0, 59.9),
    cost=st.integers(1, 10_000),
)
def test_after_the_wait_there_is_room_and_not_long_before(limit: int, previous: int, current: int, into_s: float, cost: int) -> None:
    previous, current, cost = min(previous, limit), min(current, limit), min(cost, limit)
    now = window(limit=limit, previous=previous, previous_s=60 - into_s, current=current, current_s=60 - into_s)
    wait_s = now.wait_s(cost)
    assert 0 <= wait_s <= 120
    assert later(now, wait_s).room >= cost
    if wait_s > 1:
        assert later(now, wait_s - 0.01).room < cost, "nobody is kept waiting for nothing"


def later(now: Window, by_s: float) -> Window:
    """The window after so many seconds without a call."""
    if by_s < now.current_s:
        return replace(now, previous_s=now.previous_s - by_s, current_s=now.current_s - by_s)
    past_s = by_s - now.current_s
    if past_s >= 60:
        return replace(now, previous=0, previous_s=0.0, current=0, current_s=0.0)
    return replace(now, previous=now.current, previous_s=60 - past_s, current=0, current_s=0.0)


class Shelf(KeyStore):
    """Rows in memory instead of a ledger; `reading` is called while they are read, `after_end` once one has ended."""

    def __init__(self, rows: Sequence[Values]) -> None:
        self.rows = rows
        self.reading: Callable[[], None] = lambda: None
        self.after_end: Callable[[], None] | None = None

    def marker(self) -> str:
        return str(len(self.rows))

    def all(self) -> list[Fetched]:
        found: list[Fetched] = [dict(row) for row in self.rows]
        self.reading()
        return found

    def end(self, rows: Sequence[Values], *, mark: str, successor: Values | None = None) -> None:
        changes = {row["key_id"]: row for row in rows}
        self.rows = [{**row, **changes.get(row["key_id"], {})} for row in self.rows]
        after, self.after_end = self.after_end, None
        if after is not None:
            after()


def test_a_name_is_revoked_with_the_key_that_takes_over_at_the_same_moment() -> None:
    shelf = Shelf([row_of(kept())])

    def rotate() -> None:
        shelf.rows = [*shelf.rows, row_of(kept())]

    shelf.after_end = rotate
    desk = Desk(shelf, lambda: NOW + DAY)
    assert len(desk.revoke("studio")) == 2
    assert {state_of(key, NOW + DAY) for key in desk.all()} == {"revoked"}
    with pytest.raises(UnknownKey, match="was revoked before"):
        desk.revoke("studio")


def test_a_row_that_cannot_be_read_opens_nothing_and_hides_no_other() -> None:
    rows = [row_of(kept(terms=Terms(name=f"k{number}"))) for number in range(3)]
    ring = Keyring(Shelf([rows[0], {**rows[1], "terms": '{"role":"owner"}'}, {**rows[2], "hash": "zz"}, row_of(kept())]))
    ring.load()
    assert sorted(holder.caller.id for holder in ring.holders.values()) == ["k0", "studio"]


def test_of_two_looks_at_once_the_older_one_does_not_have_the_last_word() -> None:
    shelf = Shelf([row_of(kept())])
    ring, begun, done = Keyring(shelf), threading.Event(), threading.Event()

    def change_and_look() -> None:
        begun.wait(5)
        shelf.rows, shelf.reading = [*shelf.rows, row_of(kept(terms=Terms(name="new")))], lambda: None
        ring.load()
        done.set()

    def while_reading() -> None:
        begun.set()
        done.wait(0.2)

    shelf.reading = while_reading
    other = threading.Thread(target=change_and_look)
    other.start()
    ring.load()
    other.join(5)
    assert sorted(holder.caller.id for holder in ring.holders.values()) == ["new", "studio"]
