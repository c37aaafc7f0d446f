"""Every text of a report has both languages, says no word that it must not, and figures read as people of the language write them."""

import re
from string import Formatter
from typing import get_args

import pytest

from proxy.policy.verdict import Action
from proxy.reports.document import BoundaryLine, Effect, Level, Lighter, NoteCode, Scope, Unit
from proxy.reports.line import Spread
from proxy.reports.pages.columns import PLAIN, RANGED
from proxy.reports.pages.language import MINUS, Language
from proxy.reports.pages.phrases import LANGUAGES, phrase, table

FORBIDDEN = re.compile(r"sav(?:ed?|ing)\b|avoid|neutral|\bgreen|économis|évit|neutre|neutralité|\bvert[es]?\b", re.IGNORECASE)
THIN, HARD = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"
EN, FR = Language(code="en"), Language(code="fr")
ALL = [(section, key) for section, phrases in table().items() for key in phrases]


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize(("section", "key"), ALL)
def test_a_phrase_has_each_language_with_the_same_values_and_no_forbidden_word(section: str, key: str) -> None:
    texts = table()[section][key]
    assert set(texts) == set(LANGUAGES)
    assert all(text.strip() for text in texts.values())
    assert fields(texts["en"]) == fields(texts["fr"])
    assert not [text for text in texts.values() if FORBIDDEN.search(text)]


def test_the_guard_against_words_finds_them() -> None:
    assert all(
        FORBIDDEN.search(text) for text in ("50 kg saved", "émissions évitées", "carbon-neutral", "neutre en carbone", "a green model")
    )


@pytest.mark.parametrize(
    ("section", "codes"),
    [
        ("notes", get_args(NoteCode)),
        ("effects", get_args(Effect)),
        ("levels", get_args(Level)),
        ("scopes", get_args(Scope)),
        ("lines", get_args(BoundaryLine.__annotations__["name"])),
        ("kinds", get_args(Lighter.__annotations__["kind"])),
        ("units", get_args(Unit.__annotations__["name"])),
        ("actions", get_args(Action)),
    ],
)
def test_every_code_of_a_report_has_a_phrase(section: str, codes: tuple[str, ...]) -> None:
    assert codes
    assert set(codes) <= set(table()[section])


def test_every_column_has_a_title() -> None:
    assert set(RANGED) | set(PLAIN) <= set(table()["columns"])


def test_french_texts_keep_their_spaces_before_signs() -> None:
    for section, key in ALL:
        assert not re.search(r" [:;!?»]|« ", phrase("fr", section, key)), (section, key)
    assert f"appels{THIN};" in phrase("fr", "lead", "total")
    assert phrase("fr", "lead", "drivers").count(HARD) == 0


@pytest.mark.parametrize(
    ("grams", "english", "french"),
    [
        (12_345.6, f"12{HARD}kg", f"12{THIN}kg"),
        (999.6, f"1.0{HARD}kg", f"1,0{THIN}kg"),
        (994.0, f"990{HARD}g", f"990{THIN}g"),
        (0.0456, f"46{HARD}mg", f"46{THIN}mg"),
        (1.2e-7, f"0.12{HARD}µg", f"0,12{THIN}µg"),
        (1.249e9, f"1,200{HARD}t", f"1{THIN}200{THIN}t"),
        (-3200.0, f"{MINUS}3.2{HARD}kg", f"{MINUS}3,2{THIN}kg"),
        (0.0, f"0{HARD}g", f"0{THIN}g"),
        (1.0, f"1.0{HARD}g", f"1,0{THIN}g"),
    ],
)
def test_grams_have_two_significant_digits_and_the_unit_of_their_size(grams: float, english: str, french: str) -> None:
    assert (EN.amount("g", grams), FR.amount("g", grams)) == (english, french)


def test_a_range_is_in_the_unit_of_the_expected_value() -> None:
    assert EN.around("g", Spread(1500.0, 610.0, 2800.0)) == f"1.5{HARD}kg (0.61 to 2.8{HARD}kg)"
    assert FR.around("wh", Spread(1500.0, 610.0, 2800.0)) == f"1,5{THIN}kWh (de 0,61 à 2,8{THIN}kWh)"
    assert EN.between("ml", Spread(-40.0, -90.0, 10.0)) == f"{MINUS}90 to 10{HARD}mL"


@pytest.mark.parametrize(
    ("share", "english"),
    [
        (0.0, "0%"),
        (0.0004, f"<{HARD}0.1%"),
        (0.0234, "2.3%"),
        (0.106, "11%"),
        (0.994, "99%"),
        (0.9996, "99.9%"),
        (1.0, "100%"),
        (1.3, "130%"),
    ],
)
def test_a_share_is_never_rounded_to_nothing_or_to_all(share: float, english: str) -> None:
    assert EN.percent(share) == english
    assert FR.percent(share) == english.replace("%", f"{THIN}%").replace(".", ",").replace(HARD, THIN)


def test_counts_are_whole_and_figures_rounded() -> None:
    assert (EN.count(1_234_567), FR.count(1_234_567)) == ("1,234,567", f"1{THIN}234{THIN}567")
    assert (EN.number(3.44), FR.number(3.44), EN.number(20_499.0)) == ("3.4", "3,4", "20,000")


def test_days_and_periods_are_those_of_the_language() -> None:
    since, until = "2026-11-01T00:00:00+01:00", "2026-12-01T00:00:00+01:00"
    assert EN.period(since, until) == "1 November 2026 to 30 November 2026"
    assert FR.period(since, until) == "du 1er novembre 2026 au 30 novembre 2026"
    assert "13:30 +01:00" in FR.period("2026-11-01T13:30:00+01:00", until)
    assert (EN.short_day("2026-11-02"), FR.long_day("2026-08-01"), EN.short_day("none")) == ("2 Nov", "1er août 2026", "none")
