"""The log: one line per call, bounded strings, and a stuck reader that costs lines only."""

import fcntl
import json
import logging
import os
from collections.abc import Iterator

import pytest

from estimators.usage import Usage
from proxy.log import CallLog, LineWriter, call_line, clean, configure_logging
from tests.sample_records import CALL_ID, attempt, call


class Pipe:
    """Both ends of a pipe, the write end as small and the read end as patient as a test needs."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()

    def lines(self) -> list[str]:
        os.close(self.write_end)
        with os.fdopen(self.read_end, "rb") as end:
            return end.read().decode().splitlines()


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


@pytest.fixture(autouse=True)
def untouched_loggers() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("grammage")
    handlers, level, our_level = list(root.handlers), root.level, ours.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)


def test_a_call_is_one_json_line(pipe: Pipe) -> None:
    writer = configure_logging("INFO", LineWriter(pipe.write_end, grouping_s=0))
    CallLog(writer).write(call())
    assert writer.flush()
    (line,) = pipe.lines()
    told = json.loads(line)
    opinion = attempt().estimate
    assert opinion is not None
    assert told["ts"] == "2026-09-21T14:13:21.250Z"
    assert (told["level"], told["call_id"], told["operation"]) == ("INFO", CALL_ID, "chat")
    assert (told["alias"], told["model"], told["provider"]) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", "openai")
    assert (told["region"], told["zone"], told["policy"], told["quality"]) == (None, "US", "none", "D")
    assert (told["input_tokens"], told["output_tokens"]) == (100, 50)
    assert told["gco2e"] == pytest.approx(opinion.gco2e.mean, rel=1e-3)
    assert told["gco2e_low"] < told["gco2e"] < told["gco2e_high"]
    assert told["energy_wh"] == pytest.approx(opinion.facility_energy_wh.mean, rel=1e-3)
    assert (told["outcome"], told["status"], told["ms"]) == ("ok", 200, 1250.0)
    assert told["tags"] == {"campaign": "noel-26", "asset": "sku-1"}


def test_attempts_are_summed_and_the_worst_tier_is_told() -> None:
    line = call_line(call(attempts=(attempt(usage=Usage(input_tokens=1, output_tokens=2)), attempt())))
    assert (line.input_tokens, line.output_tokens, line.attempts, line.quality) == (101, 52, 2, "D")
    one = call_line(call())
    assert line.gco2e == pytest.approx(2 * (one.gco2e or 0), rel=1e-3)


def test_a_call_without_an_estimate_says_null_and_never_zero() -> None:
    line = call_line(call(attempts=(attempt(usage=None, estimate=None),)))
    assert (line.gco2e, line.gco2e_low, line.energy_wh, line.quality, line.input_tokens) == (None,) * 5
    assert call_line(call(attempts=())).provider is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("é à 漢字", "é à 漢字"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31mred\x9b0m", "\\x1b[31mred\\x9b0m"),
        ("\u2028\u202e\x7f\x00", "\\u2028\\u202e\\x7f\\x00"),
        ("x" * 500, "x" * 128),
    ],
)
def test_client_strings_are_cut_and_escaped(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_no_client_string_can_break_a_line_or_carry_a_query() -> None:
    evil = 'x"\n{"level":"FAKE"}\x1b[2J'
    line = call_line(call(alias=evil, path="/v1/chat/completions?api_key=secret", tags=(("campaign", evil),), policy=evil))
    assert line.path == "/v1/chat/completions"
    assert all("\n" not in text and "\x1b" not in text for text in (line.alias, line.policy, *line.tags.values()))


def test_a_stuck_reader_costs_lines_and_never_blocks(pipe: Pipe) -> None:
    fcntl.fcntl(pipe.write_end, fcntl.F_SETPIPE_SZ, 4096)
    writer = LineWriter(pipe.write_end, most_lines=100, grouping_s=0)
    for number in range(1_000):
        writer.put(f"{number:0200d}".encode())
    assert writer.dropped_total >= 800
    assert not writer.flush(timeout_s=0.05)
    kept = 1_000 - writer.dropped_total
    read = b""
    while read.count(b"\n") < kept:
        read += os.read(pipe.read_end, 65_536)
    assert writer.flush()
    assert read.count(b"\n") == kept
    assert pipe.lines() == []


def test_a_closed_reader_is_counted_and_not_raised(pipe: Pipe) -> None:
    os.close(pipe.read_end)
    writer = LineWriter(pipe.write_end, grouping_s=0)
    writer.put(b"lost")
    assert writer.flush()
    assert writer.dropped_total == 1
    os.close(pipe.write_end)


def test_lines_arrive_whole_and_in_order_over_several_wakings(pipe: Pipe) -> None:
    writer = LineWriter(pipe.write_end, grouping_s=0)
    for number in range(50):
        writer.put(str(number).encode())
        if number % 10 == 0:
            assert writer.flush()
    assert writer.flush()
    assert pipe.lines() == [str(number) for number in range(50)]


def test_messages_of_our_loggers_are_json_lines_too(pipe: Pipe) -> None:
    writer = configure_logging("INFO", LineWriter(pipe.write_end, grouping_s=0))
    logging.getLogger("grammage.ledger").info("replayed %s calls\n", 3)
    logging.getLogger("vendor").info("not told")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("vendor").exception("failed")
    assert writer.flush()
    first, second = (json.loads(line) for line in pipe.lines())
    assert (first["logger"], first["message"], first["level"]) == ("grammage.ledger", "replayed 3 calls\\n", "INFO")
    assert second["exception"].endswith("ValueError: broken")


def test_calls_are_not_written_when_the_level_is_above_info(pipe: Pipe) -> None:
    writer = configure_logging("warning", LineWriter(pipe.write_end, grouping_s=0))
    CallLog(writer).write(call())
    assert writer.flush()
    assert pipe.lines() == []


def test_configuring_twice_writes_each_message_once(pipe: Pipe) -> None:
    configure_logging("INFO", LineWriter(pipe.write_end, grouping_s=0))
    writer = configure_logging("INFO", LineWriter(pipe.write_end, grouping_s=0))
    logging.getLogger("grammage.app").warning("once")
    assert writer.flush()
    assert len(pipe.lines()) == 1
