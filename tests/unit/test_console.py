"""Log lines for people: what they say, and what a caller cannot make them do to a terminal."""

import json
import logging
import os

import msgspec
import pytest

from proxy.call import InsteadRecord
from proxy.console import Console, encoder_for
from proxy.log import JsonLines, LineWriter, MessageLine, call_line, under_way
from tests.sample_records import CALL_ID, call


def text_of(line: object, *, colours: bool = False) -> str:
    return Console(colours=colours).encode(line).decode()  # type: ignore[arg-type]  # both kinds of lines


def message(**changes: object) -> MessageLine:
    fields: dict[str, object] = {"ts": "2026-11-24T03:04:05.678Z", "level": "WARNING", "logger": "grammage.send", "message": "it broke"}
    return MessageLine(**{**fields, **changes})  # type: ignore[arg-type]  # fields of these names


def test_a_call_says_what_it_weighs_in_two_digits_with_its_range() -> None:
    text = text_of(call_line(call()))
    assert text.startswith(
        "14:13:21.250  chat gpt-4o-mini as gpt-4o-mini-2024-07-18  200 ok  1.25 s  100+50 tokens  0.16 gCO2e (0.092 to 0.25) D"
    )
    assert text.endswith(CALL_ID)
    assert "campaign=noel-26" in text


def test_a_call_that_is_not_weighed_says_so() -> None:
    line = call_line(call())
    line.gco2e = None
    assert "not weighed" in text_of(line)
    assert "gCO2e" not in text_of(line)


def test_a_call_that_nobody_was_asked_for_weighs_nothing_and_says_what_answered() -> None:
    line = call_line(msgspec.structs.replace(call(), attempts=(), instead=InsteadRecord(kind="reuse", source_call_id=CALL_ID)))
    assert (line.gco2e, line.energy_wh, line.input_tokens) == (0, 0, None)
    assert "200 ok  1.25 s  0 gCO2e  instead reuse" in text_of(line)
    assert "not weighed" in text_of(call_line(msgspec.structs.replace(call(), attempts=())))


def test_colours_are_only_where_they_are_wanted() -> None:
    assert "\x1b" not in text_of(call_line(call()))
    assert "\x1b[32m200 ok\x1b[0m" in text_of(call_line(call()), colours=True)


def test_a_message_names_its_room_and_its_call_once() -> None:
    assert text_of(message()) == "03:04:05.678  warning  send: it broke"
    assert text_of(message(call_id=CALL_ID)) == f"03:04:05.678  warning  send: it broke  {CALL_ID}"
    assert text_of(message(call_id=CALL_ID, message=f"call {CALL_ID} broke")).count(CALL_ID) == 1


def test_a_traceback_keeps_its_lines_and_no_control_character() -> None:
    text = text_of(message(exception='Traceback:\n  File "x"\nValueError: \x1b[31m\x07'))
    assert text.splitlines()[1:] == ["    Traceback:", '      File "x"', "    ValueError: \\x1b[31m\\x07"]
    assert "\x1b" not in text


@pytest.mark.parametrize("form", ["auto", "json"])
def test_machines_get_json(form: str) -> None:
    read_end, write_end = os.pipe()
    try:
        assert encoder_for(form, {}, write_end) is None  # type: ignore[arg-type]  # one of its words
    finally:
        os.close(read_end)
        os.close(write_end)


def test_a_message_about_a_call_carries_its_ids() -> None:
    read_end, write_end = os.pipe()
    writer = LineWriter(write_end, grouping_s=0)
    handler = JsonLines(writer)
    token = under_way.set((CALL_ID, "0af7651916cd43dd8448eb211c80319c"))
    try:
        handler.emit(logging.LogRecord("grammage.send", logging.WARNING, "", 0, "it %s", ("broke",), None))
    finally:
        under_way.reset(token)
    handler.emit(logging.LogRecord("grammage.send", logging.WARNING, "", 0, "at rest", (), None))
    assert writer.flush()
    os.close(write_end)
    with os.fdopen(read_end, "rb") as end:
        first, second = (json.loads(line) for line in end.read().splitlines())
    assert (first["call_id"], first["trace_id"]) == (CALL_ID, "0af7651916cd43dd8448eb211c80319c")
    assert "call_id" not in second
    assert "trace_id" not in second
