"""EcoLogits on the bench: only its GPU term, for only GPU energy is measured. It must never correct or complete the library."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Final

from estimators.bench.protocol import Kind, Prediction, Setting, VisibleRow
from estimators.methods.ecologits_adapter import PACKAGE, gpu_j_per_token, library_version, video_it_energy_j


class EcologitsAsShipped:
    """The library as it comes: its own batch and its own number of GPUs. Raises ExtraMissing when it is not installed."""

    def __init__(self) -> None:
        self.name = f"EcoLogits {library_version()}"
        self._videos = _video_models()

    def enters(self, kind: Kind, setting: Setting) -> bool:
        """Everywhere; it declines row by row."""
        return True

    def predict(self, rows: Sequence[VisibleRow], *, kind: Kind, setting: Setting) -> list[Prediction | None]:
        """Text by active and total parameters, video by its video module; images are declined, the library has no such estimate."""
        by_kind = {"llm": _text, "image": _nothing, "video": self._video}
        return [by_kind[kind](row) for row in rows]

    def _video(self, row: VisibleRow) -> Prediction | None:
        width, height = int(float(row["width"])), int(float(row["height"]))
        model = _video_model(row["model"], width, height, self._videos)
        if model is None or not row["frames"]:
            return None
        found = video_it_energy_j(model, width, height, int(float(row["frames"])))
        return None if found is None else Prediction(p50=found.value, mean=found.value, low=found.low, high=found.high)


class EcologitsWithTruth:
    """The library's formula told the true batch and number of GPUs, which a caller of it cannot do; text only, deployment known."""

    def __init__(self) -> None:
        self.name = f"EcoLogits {library_version()} + true batch and GPUs"

    def enters(self, kind: Kind, setting: Setting) -> bool:
        """Where there is a truth to be told that the library has a place for."""
        return kind == "llm" and setting == "known"

    def predict(self, rows: Sequence[VisibleRow], *, kind: Kind, setting: Setting) -> list[Prediction | None]:
        """Joules per output token."""
        return [_text_with_truth(row) for row in rows]


def _text(row: VisibleRow) -> Prediction | None:
    if not row["active_params_b"] or not row["total_params_b"]:
        return None
    return _point(gpu_j_per_token(float(row["active_params_b"]), float(row["total_params_b"])))


def _text_with_truth(row: VisibleRow) -> Prediction | None:
    if not row["active_params_b"] or not row["total_params_b"] or not row["avg_batch"]:
        return None
    sizes = float(row["active_params_b"]), float(row["total_params_b"])
    return _point(gpu_j_per_token(*sizes, batch=float(row["avg_batch"]), gpus=int(float(row["num_gpus"]))))


def _nothing(row: VisibleRow) -> Prediction | None:
    return None


def _point(joules: float) -> Prediction:
    return Prediction(p50=joules, mean=joules)


DATA: Final = ("data", "video_models.json")


def _video_models() -> Mapping[str, frozenset[frozenset[int]]]:
    """The library's video models with the frame sizes it lists for each, longest name first: the most particular is met first."""
    listed = json.loads(files(PACKAGE).joinpath(*DATA).read_text(encoding="utf-8"))["models"]
    found = {str(entry["model_name"]): frozenset(map(frozenset, entry["capabilities"]["resolutions"])) for entry in listed}
    return dict(sorted(found.items(), key=lambda entry: -len(entry[0])))


def _video_model(name: str, width: int, height: int, known: Mapping[str, frozenset[frozenset[int]]]) -> str | None:
    """The library's model whose short name is part of `name`, if the library lists this frame size for it, in either orientation."""
    lowered = name.lower()
    model = next((each for each in known if each.partition("/")[2] in lowered), None)
    return model if model is not None and frozenset((width, height)) in known[model] else None
