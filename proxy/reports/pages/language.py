"""Figures, units and dates as people of one language write them, by Babel. It must never show more than two significant digits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal

from proxy.reports.line import Spread
from proxy.reports.pages.phrases import phrase, spaced, table
from proxy.reports.pages.printable import printable

Measure = Literal["g", "wh", "ml"]
SCALES: Final[Mapping[Measure, tuple[tuple[Decimal, str], ...]]] = {
    "g": ((Decimal("1e6"), "t"), (Decimal("1e3"), "kg"), (Decimal(1), "g"), (Decimal("1e-3"), "mg"), (Decimal("1e-6"), "µg")),
    "wh": ((Decimal("1e9"), "GWh"), (Decimal("1e6"), "MWh"), (Decimal("1e3"), "kWh"), (Decimal(1), "Wh"), (Decimal("1e-3"), "mWh")),
    "ml": ((Decimal("1e6"), "m³"), (Decimal("1e3"), "L"), (Decimal(1), "mL"), (Decimal("1e-3"), "µL")),
}
"""Units by size, largest first, as multiples of the unit that the ledger keeps."""

_LOCALES: Final = {"en": "en_GB", "fr": "fr"}
_SPACES: Final = {"en": "\N{NO-BREAK SPACE}", "fr": "\N{NARROW NO-BREAK SPACE}"}
MINUS: Final = "\N{MINUS SIGN}"
UNKNOWN: Final = "\N{EN DASH}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One language: `en` or `fr`."""

    code: str

    @property
    def locale(self) -> Locale:
        """As Babel names it."""
        return Locale.parse(_LOCALES[self.code])

    def say(self, section: str, key: str, **values: object) -> str:
        """One phrase with its values, clients' texts made printable. Raises KeyError for a phrase that the table lacks."""
        shown = {name: printable(value) if isinstance(value, str) else value for name, value in values.items()}
        return phrase(self.code, section, key).format(**shown)

    def spaced(self, text: str) -> str:
        """A text of ours from another table, with the language's own spaces."""
        return spaced(self.code, text)

    def code_name(self, section: str, code: str) -> str:
        """The phrase for a code; one that the table lacks is shown as it is: codes come from ledgers of any age."""
        return self.say(section, code) if code in table()[section] else printable(code)

    def count(self, number: int) -> str:
        """A count in full."""
        return self._decimal(Decimal(number), 0)

    def number(self, number: float) -> str:
        """A figure without a unit: two significant digits."""
        rounded = _rounded(number)
        return self._decimal(rounded, _decimals(rounded))

    def amount(self, measure: Measure, number: float) -> str:
        """A figure in the unit of its size: `12 kg`."""
        factor, unit = scale(measure, number)
        return self._with_unit(self._scaled(number, factor), unit)

    def signed(self, measure: Measure, number: float) -> str:
        """A difference: its sign is always shown."""
        return ("+" if number > 0 else "") + self.amount(measure, number)

    def between(self, measure: Measure, spread: Spread) -> str:
        """The range of a sum, in the unit of its expected value: `6.2 to 22 kg`."""
        factor, unit = scale(measure, spread.mean)
        low, high = (self._scaled(end, factor) for end in (spread.p5, spread.p95))
        return self.say("range", "between", low=low, high=self._with_unit(high, unit))

    def around(self, measure: Measure, spread: Spread) -> str:
        """A sum with its range: `12 kg (6.2 to 22 kg)`."""
        return f"{self.amount(measure, spread.mean)} ({self.between(measure, spread)})"

    def percent(self, share: float) -> str:
        """A ratio: two significant digits, never rounded to nothing or to all."""
        sign = str(self.locale.percent_formats[None].suffix[0]).replace("\N{NO-BREAK SPACE}", _SPACES[self.code])
        if 0 < share < 0.001:
            return f"<{_SPACES[self.code]}{self._decimal(Decimal('0.1'), 1)}{sign}"
        rounded = min(_rounded(share * 100), Decimal("99.9")) if 0.99 < share < 1 else _rounded(share * 100)
        if share < 1 and rounded >= 100:
            rounded = Decimal("99.9")
        return f"{self._decimal(rounded, 0 if rounded >= 100 else _decimals(rounded))}{sign}"

    def period(self, since: str, until: str) -> str:
        """From one instant to another, which is excluded: by days where both are midnights."""
        start, end = (datetime.fromisoformat(text) if text else None for text in (since, until))
        if start and end and not any((start.hour, start.minute, start.second, end.hour, end.minute, end.second)):
            return self.say("range", "days", since=self.day(start), until=self.day(end - timedelta(seconds=1)))
        return self.say("range", "times", since=self.instant(since), until=self.instant(until))

    def day(self, moment: datetime) -> str:
        """A day in full: `1 November 2026`."""
        text = str(format_date(moment.date(), "long", locale=self.locale))
        return f"1er{text[1:]}" if self.code == "fr" and moment.day == 1 else text

    def long_day(self, key: str) -> str:
        """The day of a line in full; what is no day is shown as it is."""
        moment = _moment(key)
        return self.day(moment) if moment else key

    def month(self, key: str) -> str:
        """The month of a line: `Nov 2026`; what is no month is shown as it is."""
        moment = _moment(f"{key}-01")
        return str(format_date(moment.date(), "MMM y", locale=self.locale)) if moment else key

    def short_day(self, key: str) -> str:
        """The day of a line as an axis has it: `1 Nov`; what is no day is shown as it is."""
        moment = _moment(key)
        return str(format_date(moment.date(), "d MMM", locale=self.locale)) if moment else key

    def instant(self, text: str) -> str:
        """A day and a time with its offset to UTC, from RFC 3339."""
        return str(format_datetime(datetime.fromisoformat(text), "d MMMM y, HH:mm xxx", locale=self.locale)) if text else UNKNOWN

    def tick(self, number: Decimal, decimals: int, unit: str) -> str:
        """A figure of an axis with so many decimals."""
        return self._with_unit(self._decimal(number, decimals), unit)

    def _scaled(self, number: float, factor: Decimal) -> str:
        rounded = _rounded(number)
        shown = rounded / factor
        return self._decimal(shown, _decimals(shown))

    def _with_unit(self, number: str, unit: str) -> str:
        return f"{number}{_SPACES[self.code]}{unit}"

    def _decimal(self, number: Decimal, decimals: int) -> str:
        pattern = "#,##0." + "0" * decimals if decimals else "#,##0"
        return str(format_decimal(number, format=pattern, locale=self.locale, decimal_quantization=False)).replace("-", MINUS)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _rounded(number: float) -> Decimal:
    """Two significant digits, exactly."""
    return Decimal(f"{number:.1e}")


def _decimals(number: Decimal) -> int:
    """How many decimals two significant digits take."""
    return 0 if not number else max(0, 1 - number.adjusted())


def scale(measure: Measure, number: float) -> tuple[Decimal, str]:
    """The largest unit that the rounded figure holds once; the smallest for what is less than it, the ledger's own for 0."""
    size = abs(_rounded(number))
    if not size:
        return next(each for each in SCALES[measure] if each[0] == 1)
    return next((each for each in SCALES[measure] if size >= each[0]), SCALES[measure][-1])
