"""A twin of the Impact Framework's arithmetic, as far as our manifests use it. It must never know what a manifest should come to."""

import math
from collections.abc import Callable, Mapping
from typing import Any

Row = dict[str, Any]


def _product(row: Row, config: Mapping[str, Any]) -> tuple[str, float]:
    return config["output-parameter"], math.prod(row[name] for name in config["input-parameters"])


def _sum(row: Row, config: Mapping[str, Any]) -> tuple[str, float]:
    return config["output-parameter"], math.fsum(row[name] for name in config["input-parameters"])


def _quotient(row: Row, config: Mapping[str, Any]) -> tuple[str, float]:
    return config["output"], row[config["numerator"]] / config["denominator"]


def _times(row: Row, config: Mapping[str, Any]) -> tuple[str, float]:
    return config["output-parameter"], row[config["input-parameter"]] * config["coefficient"]


def _sci(row: Row, config: Mapping[str, Any]) -> tuple[str, float]:
    return "sci", row["carbon"] / row[config["functional-unit"]]


PLUGINS: dict[str, Callable[[Row, Mapping[str, Any]], tuple[str, float]]] = {
    "Multiply": _product,
    "Sum": _sum,
    "Divide": _quotient,
    "Coefficient": _times,
    "Sci": _sci,
}


def recomputed(manifest: Mapping[str, Any]) -> dict[str, float]:
    """What the aggregation of the manifest comes to."""
    plugins, metrics = manifest["initialize"]["plugins"], manifest["aggregation"]["metrics"]
    found = dict.fromkeys(metrics, 0.0)
    for child in manifest["tree"]["children"].values():
        for given in child["inputs"]:
            row = dict(given)
            for step in child["pipeline"]["compute"]:
                name, value = PLUGINS[plugins[step]["method"]](row, plugins[step]["config"])
                row[name] = value
            for metric in metrics:
                found[metric] += row[metric]
    return found
