"""The shipped tables and the strictness of their readers. It must never accept a row that a reader should refuse."""

import csv
import io
import shutil
from collections.abc import Callable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import pytest

from config.equivalences import read_equivalences
from config.rows import read_rows
from config.tables import fingerprint, load_tables

SHIPPED = files("config").joinpath("data")
SHIPPED_PATH = Path(str(SHIPPED))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the shipped tables that a test may spoil."""
    for entry in SHIPPED.iterdir():
        if entry.is_file():
            tmp_path.joinpath(entry.name).write_bytes(entry.read_bytes())
    return tmp_path


def spoil(folder: Path, file: str, line: int, change: Callable[[list[str]], list[str]]) -> None:
    """Rewrites one line of a table."""
    lines = folder.joinpath(file).read_text(encoding="utf-8").splitlines()
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(change(next(csv.reader([lines[line - 1]]))))
    lines[line - 1] = written.getvalue()
    folder.joinpath(file).write_text("\n".join(lines) + "\n", encoding="utf-8")


def put(column: str, value: str, header: list[str]) -> Callable[[list[str]], list[str]]:
    """A change that sets one column."""

    def change(cells: list[str]) -> list[str]:
        cells[header.index(column)] = value
        return cells

    return change


def header_of(folder: Path, file: str) -> list[str]:
    return folder.joinpath(file).read_text(encoding="utf-8").splitlines()[0].split(",")


def test_shipped_tables_load_with_version_and_fingerprint() -> None:
    tables = load_tables()
    assert tables.factors.version == SHIPPED.joinpath("VERSION").read_text(encoding="utf-8").strip()
    assert len(tables.factors.fingerprint) == 64
    assert len(tables.factors) > 20
    assert tables.factors.fingerprint == load_tables().factors.fingerprint


@pytest.mark.parametrize("file", ["models.csv", "zones.csv", "factors.csv", "VERSION"])
def test_any_changed_byte_changes_the_fingerprint(copied: Path, file: str) -> None:
    before = fingerprint(copied)
    assert before == load_tables().factors.fingerprint
    content = copied.joinpath(file).read_bytes()
    copied.joinpath(file).write_bytes(content.replace(b"2", b"3", 1))
    assert fingerprint(copied) != before


def test_files_beside_the_tables_do_not_change_the_fingerprint(copied: Path) -> None:
    before = fingerprint(copied)
    copied.joinpath("SOURCES.md").write_text("other words", encoding="utf-8")
    assert fingerprint(copied) == before


BAD_CELLS = [
    ("factors.csv", "value", "-1", "finite number"),
    ("factors.csv", "value", "much", "not a number"),
    ("factors.csv", "url", "somewhere", "https"),
    ("factors.csv", "year", "1850", "year"),
    ("factors.csv", "unit", "", "empty"),
    ("models.csv", "total_b", "nan", "finite number"),
    ("models.csv", "total_low_b", "99999", "low <= value <= high"),
    ("models.csv", "active_b", "0", "low <= value <= high"),
    ("models.csv", "tier", "A", "not one of"),
    ("models.csv", "size_basis", "guessed", "not one of"),
    ("models.csv", "operations", "chat dance", "must be among"),
    ("models.csv", "open_weights", "yes", "not one of"),
    ("models.csv", "url", "http://plain.example", "https"),
    ("models.csv", "source", "", "empty"),
    ("model_aliases.csv", "model", "no-such-model", "not in models.csv"),
    ("model_classes.csv", "kind", "vibe", "not one of"),
    ("model_classes.csv", "active_low_b", "0", "greater than 0"),
    ("zones.csv", "gco2e_low", "99999", "low <= value <= high"),
    ("zones.csv", "basis", "direct", "lifecycle"),
    ("zones.csv", "licence", "", "empty"),
    ("zones.csv", "mix_is_world_default", "moon", "must be among"),
    ("regions.csv", "zone", "ATLANTIS", "not in zones.csv"),
    ("regions.csv", "pue_low", "0.9", "at least 1"),
    ("regions.csv", "region", "AF-SOUTH-1", "lower case"),
    ("region_groups.csv", "members", "us-east-1 mars-1", "mars-1: not in regions.csv"),
    ("region_aliases.csv", "region", "nowhere", "no region or group"),
    ("region_aliases.csv", "kind", "rumour", "not one of"),
    ("provider_defaults.csv", "zone", "ATLANTIS", "not in zones.csv"),
    ("provider_defaults.csv", "gco2e_low", "9999", "does not hold"),
    ("provider_defaults.csv", "region", "mars-1", "no region or group"),
]


@pytest.mark.parametrize(("file", "column", "value", "problem"), BAD_CELLS)
def test_a_bad_cell_is_refused_with_file_line_and_column(copied: Path, file: str, column: str, value: str, problem: str) -> None:
    line = 2
    spoil(copied, file, line, put(column, value, header_of(copied, file)))
    with pytest.raises(ValueError, match=problem) as caught:
        load_tables(copied)
    assert str(caught.value).startswith(f"{file}:{line}: column ")


def test_a_missing_cell_is_refused_with_its_column(copied: Path) -> None:
    spoil(copied, "region_aliases.csv", 3, lambda cells: cells[:-1])
    with pytest.raises(ValueError, match=r"region_aliases\.csv:3: column 'note': 6 cells instead of 7"):
        load_tables(copied)


def test_a_renamed_column_is_refused(copied: Path) -> None:
    spoil(copied, "zones.csv", 1, lambda cells: ["area", *cells[1:]])
    with pytest.raises(ValueError, match=r"zones\.csv:1: column 'area'"):
        load_tables(copied)


@pytest.mark.parametrize(
    ("file", "column"),
    [("factors.csv", "id"), ("models.csv", "id"), ("zones.csv", "zone"), ("regions.csv", "region"), ("model_aliases.csv", "alias")],
)
def test_a_row_that_stands_twice_is_refused(copied: Path, file: str, column: str) -> None:
    text = copied.joinpath(file).read_text(encoding="utf-8")
    last = text.splitlines()[-1]
    copied.joinpath(file).write_text(f"{text}{last}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{file.replace('.', '[.]')}:\d+: column '{column}'"):
        load_tables(copied)


def test_a_missing_table_stops_the_load(copied: Path) -> None:
    copied.joinpath("factors.csv").unlink()
    with pytest.raises(FileNotFoundError):
        load_tables(copied)


def test_missing_pillars_are_refused(copied: Path) -> None:
    for file, word, problem in (
        ("zones.csv", "WORLD,", "the zone WORLD is missing"),
        ("provider_defaults.csv", "unknown,", "the provider unknown is missing"),
        ("model_classes.csv", "class-default,", "no row of kind default"),
    ):
        broken = copied / file.removesuffix(".csv")
        shutil.copytree(SHIPPED_PATH, broken)
        lines = broken.joinpath(file).read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if not line.startswith(word)]
        assert len(kept) < len(lines)
        broken.joinpath(file).write_text("\n".join(kept) + "\n", encoding="utf-8")
        if file == "zones.csv":
            remove_lines(broken, "region_groups.csv", "WORLD")
            remove_lines(broken, "regions.csv", "WORLD")
            remove_lines(broken, "provider_defaults.csv", "WORLD")
        with pytest.raises(ValueError, match=problem):
            load_tables(broken)


def remove_lines(folder: Path, file: str, word: str) -> None:
    """Drops every line that holds `word`."""
    lines = folder.joinpath(file).read_text(encoding="utf-8").splitlines()
    folder.joinpath(file).write_text("\n".join(line for line in lines if word not in line) + "\n", encoding="utf-8")


def test_every_number_of_the_factor_table_has_a_source() -> None:
    for factor in load_tables().factors.values():
        assert factor.low <= factor.value <= factor.high
        assert factor.source
        assert factor.licence
        assert factor.url.startswith("https://")
        assert factor.range.value == factor.value


def test_equivalences_are_read_with_labels_in_both_languages() -> None:
    found = {one.id: one for one in read_equivalences(SHIPPED)}
    assert len(found) > 30
    assert found["streaming_hour"].kgco2e_per_unit == pytest.approx(0.064, rel=0.01)
    assert found["streaming_hour"].label_fr
    assert not any(one.category == "Article" for one in found.values())


def test_a_quote_left_open_is_refused_with_its_line(tmp_path: Path) -> None:
    tmp_path.joinpath("one.csv").write_text('a,b\n1,2\n"3,4\n', encoding="utf-8")
    folder: Traversable = tmp_path
    with pytest.raises(ValueError, match=r"one\.csv:3: column 'a'"):
        list(read_rows(folder, "one.csv", ("a", "b")))


def test_notices_name_the_share_alike_source() -> None:
    notice = SHIPPED.joinpath("NOTICE").read_text(encoding="utf-8")
    assert "Data: Electricity Maps" in notice
    assert "Open Database License 1.0" in notice
    licences = {zone.licence for zone in load_tables().places.zones()}
    assert licences == {"ODbL-1.0", "CC-BY-4.0"}
    for file in SHIPPED.iterdir():
        if file.name.endswith(".csv"):
            assert file.name in notice, f"{file.name} has no notice"
