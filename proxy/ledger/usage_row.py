"""A usage as columns of an attempt's row, and back. It must never fill in what was not said: a null column stays unknown."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from estimators.usage import Media, Metered, Usage
from proxy.ledger.columns import CALLS_COUNTED, FIRST_COUNTS, MEDIA, MEDIA_KINDS, METERED, METERED_KINDS, USAGE_COUNTS

Values = tuple[object, ...]

_counted = attrgetter(*FIRST_COUNTS, "source", "partial", "image_output_tokens")
_media = attrgetter(*MEDIA_KINDS)
_metered = attrgetter(*METERED_KINDS)
_NO_USAGE: Values = (None,) * (len(USAGE_COUNTS) + 2)
_NO_MEDIA: Values = (None,) * len(MEDIA)
_NO_METER: Values = (None,) * len(METERED)


def is_text(usage: Usage) -> bool:
    """True when the counts of one call are all there is: no media, no meter."""
    return usage.media is None and usage.metered is None and usage.calls == 1


def text_values(usage: Usage | None) -> Values:
    """The values of the attempt's columns from the first count to the last of text."""
    return _NO_USAGE if usage is None else _counted(usage)


def made_values(usage: Usage) -> Values:
    """The values of the columns of media and meter."""
    media, metered = usage.media, usage.metered
    return (*(_NO_MEDIA if media is None else _media(media)), *(_NO_METER if metered is None else _metered(metered)))


def usage_values(usage: Usage) -> Values:
    """The values of the usage's columns from the first count to the last of a meter."""
    media, metered = usage.media, usage.metered
    return (
        *_counted(usage),
        *(_NO_MEDIA if media is None else _media(media)),
        *(_NO_METER if metered is None else _metered(metered)),
    )


def calls_value(usage: Usage) -> int | None:
    """The value of the column that says how many calls the usage is the sum of."""
    return None if usage.calls == 1 else usage.calls


def usage_of_row(row: Mapping[str, Any]) -> Usage | None:
    """The usage that the attempt's row holds, as it was written; None when nothing was counted.

    A row older than a column has null there and is read as a usage without it: no image tokens written, no media, no meter.
    """
    if row["usage_source"] is None:
        return None
    return Usage(
        **{name: row[name] or 0 for name in USAGE_COUNTS},
        source=row["usage_source"],
        partial=bool(row["partial"]),
        media=media_of_row(row),
        metered=metered_of_row(row),
        calls=row[CALLS_COUNTED] or 1,
    )


def media_of_row(row: Mapping[str, Any]) -> Media | None:
    """What was made or heard; None for a call of text."""
    if row["media_images"] is None:
        return None
    return Media(**{field: row[column] for field, column in zip(MEDIA_KINDS, MEDIA, strict=True)})


def metered_of_row(row: Mapping[str, Any]) -> Metered | None:
    """The energy that somebody measured; None when nobody did."""
    if row["metered_energy_wh"] is None:
        return None
    return Metered(
        energy_wh=row["metered_energy_wh"],
        boundary=row["metered_boundary"],
        source=row["metered_source"],
        shared=bool(row["metered_shared"]),
    )
