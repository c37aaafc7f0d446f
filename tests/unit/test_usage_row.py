"""A usage becomes columns and comes back the same, whatever was counted, made, heard or metered."""

import sqlite3
from contextlib import closing
from dataclasses import fields
from typing import TypeVar, get_args

from hypothesis import given
from hypothesis import strategies as st

from estimators.usage import Media, MeterBoundary, Metered, Usage, UsageSource
from proxy.ledger.columns import CALLS_COUNTED, MEDIA_KINDS, METERED_KINDS, USAGE_COUNTS
from proxy.ledger.create import statements
from proxy.ledger.kept_columns import KEPT_WRITES, KINDS_OF
from proxy.ledger.pack import Packer
from proxy.ledger.sqlite import insert_or_ignore
from proxy.ledger.usage_row import usage_of_row
from tests.sample_records import attempt, call

T = TypeVar("T")
COUNTS = st.integers(0, 10**12)
SECONDS = st.floats(0, 1e9, allow_nan=False)
WORDS = st.text(st.characters(codec="utf-8"), max_size=12)


def maybe(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.none() | strategy


MEDIA = st.builds(
    Media,
    images=COUNTS, width=maybe(COUNTS), height=maybe(COUNTS), quality=maybe(WORDS), steps=maybe(COUNTS), clips=COUNTS,
    video_seconds=maybe(SECONDS), frames=maybe(COUNTS), fps=maybe(SECONDS), audio_input_seconds=maybe(SECONDS),
    audio_output_seconds=maybe(SECONDS), characters=maybe(COUNTS),
)  # fmt: skip
METERED = st.builds(Metered, energy_wh=SECONDS, boundary=st.sampled_from(get_args(MeterBoundary)), source=WORDS, shared=st.booleans())


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Any usage whose subsets fit into their totals."""
    image_in, audio_in, cached, reasoning, audio_out, image_out = (draw(COUNTS) for _ in range(6))
    return Usage(
        input_tokens=max(image_in + audio_in, cached) + draw(COUNTS),
        cached_input_tokens=cached,
        image_input_tokens=image_in,
        audio_input_tokens=audio_in,
        output_tokens=reasoning + audio_out + image_out + draw(COUNTS),
        reasoning_output_tokens=reasoning,
        audio_output_tokens=audio_out,
        image_output_tokens=image_out,
        input_images=draw(COUNTS),
        source=draw(st.sampled_from(get_args(UsageSource))),
        partial=draw(st.booleans()),
        media=draw(maybe(MEDIA)),
        metered=draw(maybe(METERED)),
        calls=draw(st.just(1) | st.integers(1, 10**9)),
    )


def test_every_field_of_a_usage_has_a_column() -> None:
    """A field that somebody adds is not lost in silence."""
    assert {field.name for field in fields(Media)} == set(MEDIA_KINDS)
    assert {field.name for field in fields(Metered)} == set(METERED_KINDS)
    assert {field.name for field in fields(Usage)} == {
        *USAGE_COUNTS,
        "source",
        "partial",
        "media",
        "metered",
        CALLS_COUNTED.removeprefix("usage_"),
    }


@given(st.lists(usages() | st.none(), min_size=1, max_size=5))
def test_a_usage_comes_back_from_the_database(counted: list[Usage | None]) -> None:
    kept = [call(call_id=str(number), attempts=(attempt(usage=usage),)) for number, usage in enumerate(counted)]
    packer = Packer()
    packed = packer.pack(kept)
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in statements():
            connection.execute(statement)
        for table, kinds in packer.fresh.items():
            connection.executemany(insert_or_ignore(table, KINDS_OF[table], 1), kinds.values())
        for (table, columns), rows in zip(KEPT_WRITES, packed, strict=True):
            connection.executemany(insert_or_ignore(table, columns, 1), rows)
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM attempts ORDER BY call_id").fetchall()
    assert [usage_of_row(dict(row)) for row in found] == counted
