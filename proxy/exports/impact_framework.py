"""Makes an Impact Framework manifest whose pipelines recompute our totals from energies, PUE and intensities. It must never hold a total
as an input where it can be computed."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from proxy.exports.gather import Gathered
from proxy.exports.sci import quantities
from proxy.exports.sheet import Sheet, completeness, kept_as_sums
from proxy.exports.strata import counted, kind_of, our_method, stratum
from proxy.exports.sums import WH_PER_KWH, attempts_of, beyond_of, grouped, mean_of, serving_of
from proxy.ledger.inventory_cells import InventoryCell
from proxy.reports.as_json import plain
from proxy.reports.document import Basis
from proxy.reports.pages.language import Language
from proxy.reports.pages.phrases import listed
from proxy.reports.pages.printable import printable

IF_VERSION: Final = "1.1.0"
GRAMS_PER_KG: Final = 1000
BEYOND: Final = {"training_gco2e": "carbon-training", "network_gco2e": "carbon-network"}
STATED: Final = "disclosed"
"""The method whose grams are the supplier's own and follow from no energy."""

RATES: Final = {"call": "sci-per-call", "1000_output_tokens": "sci-per-thousand-output-tokens", "image": "sci-per-image"}
SOURCE_IDS: Final = ("impact_framework", "sci")
LINES: Final = ("energy", "carbon-operational", "carbon-embodied")
_SLUG: Final = re.compile(r"[^a-z0-9]+")

Key = tuple[str, str, str, str, str | None, str, float, str, int, str, str, str, bool, tuple[str, ...], tuple[str, str] | None]


def impact_framework(gathered: Gathered, language: Language) -> Sheet:
    """The manifest, as the body too."""
    manifest = manifest_of(gathered, language)
    return Sheet(
        body={"manifest": manifest},
        sections=(),
        headline=gathered.report.total.gco2e,
        sources=SOURCE_IDS,
        remarks=("if_inputs", "if_range"),
        manifest=manifest,
    )


def manifest_of(gathered: Gathered, language: Language) -> dict[str, Any]:
    """The manifest for if-run of @grnsft/if: one node for each group of calls that share a place, a method and an intensity."""
    basis = gathered.report.basis
    kept = {id(cell) for cell in counted(gathered)}
    made = _Manifest(gathered)
    for number, (key, cells) in enumerate(grouped(gathered.cells, lambda cell: _key(cell, id(cell) in kept)).items(), start=1):
        made.add(number, key, cells)
    made.add_kept_as_sums()
    lines = LINES if made.has_all_lines else ()
    return {
        "name": f"grammage {basis.since} to {basis.until}",
        "description": _description(basis, language),
        "tags": {"kind": "grammage", "complexity": "moderate", "category": "generative AI"},
        "grammage": _about(gathered, language),
        "aggregation": {"metrics": ["carbon", *lines, *(RATES[unit] for unit in made.rates)], "type": "both"},
        "initialize": {"plugins": made.plugins()},
        "tree": {"children": made.children},
    }


class _Manifest:
    """The nodes and plugins so far. has_all_lines: every node has energy, operational and embodied grams."""

    def __init__(self, gathered: Gathered) -> None:
        self._gathered = gathered
        serving = [cell for cell in counted(gathered) if serving_of([cell]) is not None]
        self.rates = {unit: quantity for unit, (quantity, _) in quantities(gathered, serving).items() if quantity > 0}
        self.children: dict[str, Any] = {}
        self._used: dict[str, dict[str, Any]] = {}
        self.has_all_lines = True
        basis = gathered.report.basis
        since, until = (datetime.fromisoformat(text) for text in (basis.since, basis.until))
        self._when = {
            "timestamp": f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "duration": max(round((until - since).total_seconds()), 1),
        }

    def add(self, number: int, key: Key, cells: Sequence[InventoryCell]) -> None:
        """A node for a group of cells."""
        one = cells[0]
        if one.spend is not None:
            inputs, steps = self._of_money(cells)
        elif our_method(one) == STATED:
            inputs, steps = self._as_stated(cells)
        else:
            inputs, steps = self._of_energy(cells)
        counts = key[12] and serving_of(cells) is not None
        steps = [*steps, *(self._rate(unit, kind_of(one), counts) for unit in self.rates)]
        about = {
            "stratum": stratum(one),
            "provider": printable(one.provider),
            "model": printable(one.model),
            "region": printable(one.region or "not stated"),
            "grid-zone": printable(one.opinions.shared.zone),
            "estimation-method": printable(one.opinions.shared.method),
            "factor-set": printable(one.opinions.factor_set),
            "profile": printable(one.opinions.profile),
            "intensity-source": printable(f"{one.intensity_source} ({one.intensity_year})"),
        }
        self.children[f"{number:04}-{_slug(one)}"] = {
            "pipeline": {"compute": steps},
            "defaults": about,
            "inputs": [{**self._when, "attempts": attempts_of(cells), **inputs}],
        }

    def add_kept_as_sums(self) -> None:
        """Grams of calls that the ledger keeps as sums alone."""
        whole = kept_as_sums(self._gathered, "gco2e")
        if whole is None:
            return
        self.has_all_lines = False
        steps = [self._plugin("carbon-as-stated", "Sum", {"input-parameters": ["carbon-stated"], "output-parameter": "carbon"})]
        self.children["kept-as-sums"] = {
            "pipeline": {"compute": [*steps, *(self._rate(unit, "other", False) for unit in self.rates)]},
            "inputs": [{**self._when, "carbon-stated": whole.mean}],
        }

    def plugins(self) -> dict[str, Any]:
        """Those that some node runs."""
        return self._used

    def _of_energy(self, cells: Sequence[InventoryCell]) -> tuple[dict[str, Any], list[str]]:
        it_wh = sum(cell.it_energy_wh or 0.0 for cell in cells)
        facility_wh = mean_of(cells, "facility_energy_wh")
        inputs = {
            "it-energy": it_wh / WH_PER_KWH,
            "pue": facility_wh / it_wh if it_wh else 1.0,
            "grid/carbon-intensity": cells[0].gco2e_per_kwh,
            "carbon-embodied": mean_of(cells, "embodied_gco2e"),
        }
        steps = [
            self._plugin("facility-energy", "Multiply", {"input-parameters": ["it-energy", "pue"], "output-parameter": "energy"}),
            self._plugin(
                "operational-carbon",
                "Multiply",
                {"input-parameters": ["energy", "grid/carbon-intensity"], "output-parameter": "carbon-operational"},
            ),
        ]
        return self._whole(cells, inputs, steps)

    def _as_stated(self, cells: Sequence[InventoryCell]) -> tuple[dict[str, Any], list[str]]:
        """The supplier's own grams: operational and embodied are inputs, for they follow from no energy."""
        inputs = {
            "energy-stated": mean_of(cells, "facility_energy_wh") / WH_PER_KWH,
            "carbon-operational": mean_of(cells, "operational_gco2e"),
            "carbon-embodied": mean_of(cells, "embodied_gco2e"),
        }
        energy = {"input-parameters": ["energy-stated"], "output-parameter": "energy"}
        return self._whole(cells, inputs, [self._plugin("energy-as-stated", "Sum", energy)])

    def _whole(self, cells: Sequence[InventoryCell], inputs: dict[str, Any], steps: list[str]) -> tuple[dict[str, Any], list[str]]:
        """Serving, and the whole by the profile of the estimates."""
        beyond = beyond_of(cells[0])
        inputs |= {BEYOND[line]: sum(cell.beside[line].mean for cell in cells if line in cell.beside) for line in beyond}
        serving = {"input-parameters": ["carbon-operational", "carbon-embodied"], "output-parameter": "carbon-serving"}
        names = [BEYOND[line] for line in beyond]
        whole = {"input-parameters": ["carbon-serving", *names], "output-parameter": "carbon"}
        sums = [self._plugin("serving-carbon", "Sum", serving), self._plugin("-with-".join(["whole-carbon", *names]), "Sum", whole)]
        sci = self._plugin("sci-per-attempt", "Sci", {"functional-unit": "attempts"})
        return inputs, [*steps, *sums, sci]

    def _of_money(self, cells: Sequence[InventoryCell]) -> tuple[dict[str, Any], list[str]]:
        self.has_all_lines = False
        amount = sum(cell.spend[2] for cell in cells if cell.spend is not None)
        inputs = {"spend": amount, "spend-carbon-intensity": self._per_money(cells, amount)}
        config = {"input-parameters": ["spend", "spend-carbon-intensity"], "output-parameter": "carbon"}
        return inputs, [self._plugin("carbon-of-money", "Multiply", config)]

    def _per_money(self, cells: Sequence[InventoryCell], amount: float) -> float:
        """Grams per unit of money: the factor row, where the estimate was made by the tables at hand."""
        category, currency, _ = cells[0].spend or ("", "", 0.0)
        row = self._gathered.factors.get(f"spend.{category}.kgco2e_per_{currency.lower()}")
        if row is not None and cells[0].opinions.factor_set == self._gathered.factor_set:
            return row.value * GRAMS_PER_KG
        return mean_of(cells, "gco2e") / amount

    def _rate(self, unit: str, kind: str, counts: bool) -> str:
        """The step that divides by all units made; a node that makes none of the unit, or is not counted, adds nothing to the rate."""
        of_kind = {"call": True, "1000_output_tokens": kind == "text", "image": kind == "image"}[unit]
        output = RATES[unit]
        if counts and of_kind:
            return self._plugin(
                output, "Divide", {"numerator": "carbon-serving", "denominator": self.rates[unit], "output": output}, output
            )
        config = {"input-parameter": "carbon", "coefficient": 0, "output-parameter": output}
        return self._plugin(f"not-in-{output}", "Coefficient", config, output)

    def _plugin(self, name: str, method: str, config: Mapping[str, Any], output: str | None = None) -> str:
        made = output or str(config.get("output-parameter", "sci"))
        if name not in self._used:
            self._used[name] = {"path": "builtin", "method": method, "config": dict(config)}
            if method != "Sci":
                summed = [each for each in config.get("input-parameters", ()) if each in LINES]
                self._used[name]["parameter-metadata"] = {
                    "inputs": {each: _summed(each) for each in summed},
                    "outputs": {made: _summed(made)},
                }
        return name


def _summed(name: str) -> dict[str, Any]:
    unit = "kWh" if name == "energy" else "gCO2e"
    return {"description": name.replace("-", " "), "unit": unit, "aggregation-method": {"time": "sum", "component": "sum"}}


def _key(cell: InventoryCell, counts: bool) -> Key:
    return (
        stratum(cell),
        kind_of(cell),
        cell.provider,
        cell.model,
        cell.region,
        cell.opinions.shared.zone,
        cell.gco2e_per_kwh,
        cell.intensity_source,
        cell.intensity_year,
        cell.opinions.shared.method,
        cell.opinions.factor_set,
        cell.opinions.profile,
        counts,
        beyond_of(cell),
        None if cell.spend is None else cell.spend[:2],
    )


def _slug(cell: InventoryCell) -> str:
    text = f"{cell.provider} {cell.model} {cell.opinions.shared.zone} {kind_of(cell)}".lower()
    return _SLUG.sub("-", text).strip("-")[:80]


def _description(basis: Basis, language: Language) -> str:
    return language.say(
        "exports",
        "if_description",
        version=basis.tool_version,
        profiles=", ".join(basis.profiles) or "-",
        factor_sets=", ".join(basis.factor_sets) or "-",
        config=basis.config_sha256[:12],
        time_zone=basis.time_zone,
    )


def _about(gathered: Gathered, language: Language) -> dict[str, Any]:
    """What every export carries; the engine passes it by."""
    report, code = gathered.report, language.code
    return {
        "if-version": IF_VERSION,
        "basis": plain(report.basis),
        "total-gco2e": plain(report.total.gco2e),
        "operational-gco2e": plain(report.total.operational_gco2e),
        "embodied-gco2e": plain(report.total.embodied_gco2e),
        "proxy-itself-beside-gco2e": None if report.own is None else plain(report.own.gco2e),
        "completeness": completeness(gathered),
        "may-be-said": list(listed(code, "may")),
        "may-not-be-said": list(listed(code, "may_not")),
    }
