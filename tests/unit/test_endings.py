"""What is left to do at the end of a call: each ending is done, whichever other one breaks, and the break is in the log."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from proxy import pipeline
from proxy.passage import Passage
from proxy.rooms import Rooms

ENDINGS = ("record", "land", "turn", "give_back", "weigh_in_shadow", "upload", "settle")
NAMES = {"turn": "_end_turn", "upload": "_close_upload"}


class Corridor:
    """The endings of a call that has all of them, of which one breaks; `done` in the order in which they were begun."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, broken: str | None) -> None:
        self.done: list[str] = []
        self.broken = broken
        for name in ("record", "land", "give_back", "weigh_in_shadow"):
            stand_in = self._ending(name)
            stand_in.__name__ = name
            monkeypatch.setattr(pipeline, name, stand_in)
        monkeypatch.setattr(pipeline, "throttle", SimpleNamespace(settle=self._settle))

    def passage(self) -> Passage:
        made = SimpleNamespace(
            call_id="c-1", recorded=False, lead=object(), holding=object(), entry=None, ticket=object(),
            turn=SimpleNamespace(end=self._ending("turn")), upload=SimpleNamespace(close=self._ending("upload")),
        )  # fmt: skip
        return cast(Passage, made)

    def rooms(self) -> Rooms:
        return cast(Rooms, SimpleNamespace(shadow_scales=("any",)))

    def _ending(self, name: str) -> Any:
        def done(*_words: object, **_named: object) -> None:
            self._do(name)

        return done

    async def _settle(self, *_words: object) -> None:
        self._do("settle")

    def _do(self, name: str) -> None:
        self.done.append(name)
        if name == self.broken:
            raise RuntimeError(f"{name} is out of order")


@pytest.mark.parametrize("broken", [None, *ENDINGS])
async def test_an_ending_that_breaks_skips_no_other_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str | None
) -> None:
    monkeypatch.setattr(pipeline, "has_new_answer", lambda _entry: False)
    corridor = Corridor(monkeypatch, broken)
    await pipeline._end(corridor.rooms(), corridor.passage())
    assert tuple(corridor.done) == ENDINGS
    told = [entry.getMessage() for entry in caplog.records if entry.levelname == "ERROR"]
    assert told == ([] if broken is None else [f"the ending {NAMES.get(broken, broken)} of call c-1 broke; the others go on"])
    assert all(entry.exc_info for entry in caplog.records)


async def test_endings_that_a_call_does_not_have_are_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    corridor = Corridor(monkeypatch, None)
    passage = SimpleNamespace(recorded=True, lead=None, turn=None, holding=None, entry=None, upload=None, ticket=None)
    await pipeline._end(cast(Rooms, SimpleNamespace(shadow_scales=())), cast(Passage, passage))
    assert not corridor.done
