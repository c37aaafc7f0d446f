"""The text of a parameter file: what was fitted, when, on what, how well. It must never be written by hand."""

import json
from dataclasses import asdict
from typing import Any

from estimators.calibration.parameter import FormFit

VERSIONS = {"text": "2.0.0", "diffusion": "1.0.0"}
"""Of the form; any change that moves a figure changes it, here and in the methods that use it."""

SOURCE = (
    "Fit of this project on public measured GPU energy (ML.ENERGY leaderboards v3 and v2); "
    "low and high: range over the fits that leave one model family out"
)
URL = "https://github.com/ml-energy/leaderboard"
LICENCE = "facts cited"


def parameter_file(form: str, date: str, found: FormFit) -> str:
    """The JSON of `fitted_<form>.json`."""
    content: dict[str, Any] = {
        "id": form,
        "version": VERSIONS[form],
        "fitted": date,
        "source": SOURCE,
        "url": URL,
        "licence": LICENCE,
        "command": f"python -m estimators.calibration fit DIR --only {form} --date {date}",
        "data": {"rows": found.rows, "cells": found.cells, "families": list(found.families)},
        "left_out_by_family": {name: {key: _short(value) for key, value in asdict(each).items()} for name, each in found.scores.items()},
        "parameters": [{key: value for key, value in asdict(each).items() if value != ""} for each in found.parameters],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _short(value: object) -> object:
    return float(f"{value:.4g}") if isinstance(value, float) else value
