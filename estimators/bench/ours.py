"""Our own estimator on the bench. It must never see more of a row than a stranger's adapter does."""

from collections.abc import Sequence

from config.catalogue import Catalogue
from config.factors import FactorSet
from estimators.bench.ours_diffusion import predict_diffusion_row
from estimators.bench.ours_text import SURE, predict_text_row
from estimators.bench.protocol import OURS, AdapterError, Kind, Prediction, Setting, VisibleRow


class Ours:
    """The methods `tokens`, `images` and `video` with the parameters that the factor set holds; only their GPU part."""

    def __init__(self, catalogue: Catalogue, factors: FactorSet) -> None:
        self.name = OURS
        self._catalogue = catalogue
        self._factors = factors

    def enters(self, kind: Kind, setting: Setting) -> bool:
        """Everywhere."""
        return True

    def predict(self, rows: Sequence[VisibleRow], *, kind: Kind, setting: Setting) -> list[Prediction | None]:
        """Median, p5, p95 and expected value of each row's GPU energy per output; text of unknown size is declined."""
        found = []
        for index, row in enumerate(rows):
            try:
                found.append(self._predict(row, kind, blind=setting == "blind"))
            except ValueError as error:
                raise AdapterError(str(error), index) from error
        return found

    def _predict(self, row: VisibleRow, kind: Kind, *, blind: bool) -> Prediction | None:
        if kind == "llm":
            if not row["total_params_b"] and self._catalogue.resolve(row["model"]).match not in SURE:
                return None
            found = predict_text_row(row, self._catalogue, self._factors, blind=blind)
        else:
            found = predict_diffusion_row(row, self._factors, blind)
        return Prediction(p50=found.p50, mean=found.mean, low=found.p5, high=found.p95)
