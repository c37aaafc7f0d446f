"""`python -m estimators.calibration fit DIR` fits the forms and writes the parameter files. It must never ship a measured row."""

import argparse
import re
import sys
from pathlib import Path

from config.tables import Tables, load_tables
from estimators.bench.protocol import Kind
from estimators.bench.read import FILES, BenchDataError, MeasuredRow, read_rows
from estimators.calibration.parameter_file import parameter_file
from estimators.calibration.show import shown

DATA = Path(__file__).parents[2] / "config" / "data"
MODELS = ("text", "diffusion")
LEAST_FAMILIES = 2


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code: 0 done, 1 the rows cannot be read, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m estimators.calibration", description="Fit the energy forms to measured rows.")
    fit = parser.add_subparsers(dest="command", required=True).add_parser("fit", help="fit, cross-validate, write fitted_*.json")
    fit.add_argument("folder", type=Path, help="folder with measured_llm_energy.csv, measured_image_energy.csv, measured_video_energy.csv")
    fit.add_argument("--out", type=Path, default=DATA, help="where to write the parameter files (default: the shipped ones)")
    fit.add_argument("--only", choices=MODELS, help="fit one form only")
    fit.add_argument("--date", required=True, type=_date, help="date of the fit, YYYY-MM-DD, for the record")
    fit.add_argument("--dry-run", action="store_true", help="print, write nothing")
    options = parser.parse_args(arguments)
    try:
        for model in MODELS if options.only is None else (options.only,):
            _fit(model, options, load_tables())
    except OSError as error:
        print(f"calibration: {error.filename}: cannot be read: {error.strerror}", file=sys.stderr)
        return 1
    except (BenchDataError, ValueError) as error:
        print(f"calibration: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"calibration: {error.name} is missing; install the extra: pip install 'grammage[calibration]'", file=sys.stderr)
        return 1
    return 0


def _date(text: str) -> str:
    """The text, if it is a date. Raises ArgumentTypeError."""
    if not re.fullmatch(r"20\d\d-[01]\d-[0-3]\d", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write YYYY-MM-DD")
    return text


def _fit(model: str, options: argparse.Namespace, tables: Tables) -> None:
    if model == "text":
        from estimators.calibration.text import fit_text  # scipy: the extra's absence is said in a sentence

        found = fit_text(_rows(options.folder, "llm"), tables.catalogue, tables.factors)
    else:
        from estimators.calibration.diffusion import fit_diffusion

        found = fit_diffusion([*_rows(options.folder, "image"), *_rows(options.folder, "video")], tables.factors)
    print(shown(found.scores))
    if not options.dry_run:
        (options.out / f"fitted_{model}.json").write_text(parameter_file(model, options.date, found), encoding="utf-8")


def _rows(folder: Path, kind: Kind) -> list[MeasuredRow]:
    """The measured rows of one kind. Raises ValueError for fewer than two families: nothing could be left out."""
    name = FILES[kind]
    rows = read_rows(kind, (folder / name).read_text(encoding="utf-8"), name)
    if len({row.family for row in rows}) < LEAST_FAMILIES:
        raise ValueError(f"{name}: a fit needs rows of at least {LEAST_FAMILIES} model families")
    return rows


if __name__ == "__main__":
    sys.exit(main())
