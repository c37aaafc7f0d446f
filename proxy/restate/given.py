"""The tables that a restatement is to use: those of this version, with what somebody changed of them. It must never change a file."""

import hashlib
import shutil
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory

from config.factor_files import read_factor_set
from config.factors import FactorSet
from config.tables import Tables, load_tables
from proxy.errors import StartError

VERSION = "VERSION"


def tables_at(given: Path | None) -> Tables:
    """The shipped tables; over them those of the folder `given`, or the factor rows of a .csv or exported .json.

    The fingerprint is that of all tables together. Raises StartError naming file and place of a fault.
    """
    try:
        if given is None:
            return load_tables()
        return _over_folder(given) if given.is_dir() else _over_rows(given)
    except (OSError, ValueError) as error:
        why = f"cannot be read: {error.strerror}" if isinstance(error, OSError) and error.strerror else error
        raise StartError(f"--factor-set {given or 'of this version'}: {why}") from error


def lay_out(given: Path | None, into: Path) -> None:
    """Writes the tables into a folder, those of `given` over the shipped ones. Raises ValueError for a file that is no table of ours."""
    with as_file(files("config").joinpath("data")) as shipped:
        for table in _tables_in(shipped):
            shutil.copyfile(table, into / table.name)
    if given is None:
        return
    known = {table.name for table in _tables_in(into)}
    changed = _tables_in(given)
    strangers = [table.name for table in changed if table.name not in known]
    if strangers or not changed:
        what = f"{strangers[0]} is no table" if strangers else "holds no table"
        raise ValueError(f"{what}; the tables are {', '.join(sorted(known - {VERSION}))}")
    for table in changed:
        shutil.copyfile(table, into / table.name)


def _over_folder(given: Path) -> Tables:
    with TemporaryDirectory(prefix="grammage-tables-") as made:
        lay_out(given, Path(made))
        return load_tables(Path(made))


def _over_rows(given: Path) -> Tables:
    """The shipped tables with the factor rows of the file in place of those of the same id."""
    shipped, rows = load_tables(), read_factor_set(given)
    strangers = sorted(rows.keys() - shipped.factors.keys())
    if strangers:
        raise ValueError(f"factor {strangers[0]!r} is none of this version's")
    both = hashlib.sha256(f"{shipped.factors.fingerprint}\0{rows.fingerprint}".encode()).hexdigest()
    return replace(shipped, factors=FactorSet({**shipped.factors, **rows}, version=shipped.factors.version, fingerprint=both))


def _tables_in(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.suffix in (".csv", ".json") or entry.name == VERSION)
