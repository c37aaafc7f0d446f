"""GPU joules of many token counts at once, as token_energy.py works them out for one. It must never give another figure than that."""

from collections.abc import Mapping

import numpy as np

from estimators.columns import Floats, Quantities, UsageColumns, Variances, add_columns
from estimators.energy import USAGE_SOURCES
from estimators.token_energy import TokenEnergy
from estimators.usage import UsageSource


def gpu_energy_of_tokens(energy: TokenEnergy, usages: UsageColumns) -> Quantities:
    """Joules of all GPUs for each call, as `TokenEnergy.gpu_energy_j`."""
    call_j, prefill_j, cached_saving, per_context, attention_j, decode_j = energy.shape
    given, n_out = usages.input_tokens.astype(np.float64), usages.output_tokens.astype(np.float64)
    shown = usages.image_input_tokens / energy.energy.billing.ratio
    n_in = given - usages.image_input_tokens + shown
    n_cached = usages.cached_input_tokens * np.where(given > 0, n_in / np.where(given > 0, given, 1.0), 1.0)
    context, fresh = n_in / usages.calls, n_in - cached_saving * n_cached
    steady = (
        call_j * usages.calls + prefill_j * fresh * (1 + context * per_context) + attention_j * n_out * (context + n_out / usages.calls / 2)
    )
    decode = decode_j * n_out
    call = _call_variances(energy.call_variance, usages)
    written = _mixed(energy, steady, decode, call)
    tokens = np.where(shown > 0, shown, usages.input_images * energy.energy.tokens_per_image)
    if not np.any(tokens > 0):
        return written
    image = energy.energy.image_token
    doubts = [np.full_like(steady, doubt) for doubt in image.variance[:4]]
    seen = Quantities(image.p50 * tokens * np.exp(-call / 2), Variances._make([*doubts, call]))
    both, none = add_columns(written, seen), tokens <= 0
    parts = (np.where(none, before, after) for before, after in zip(written.variance, both.variance, strict=True))
    whole = Quantities(np.where(none, written.p50, both.p50), Variances(*parts))
    if not energy.energy.billing.sd:
        return whole
    safe = np.where(n_in > 0, n_in, 1.0)
    read = prefill_j * shown * (1 - cached_saving * n_cached / safe) * (1 + context * per_context)
    encoded = image.p50 * shown * np.exp(sum(image.variance[:4]) / 2)
    return _widened(whole, read + encoded, energy.energy.billing.sd)


def _widened(whole: Quantities, of_pictures: Floats, sd: float) -> Quantities:
    """More variance in scope `model` by the share that pictures have, means unchanged."""
    mean = whole.mean
    more = (of_pictures / np.where(mean > 0, mean, 1.0) * sd) ** 2
    return Quantities(whole.p50 * np.exp(-more / 2), whole.variance._replace(model=whole.variance.model + more))


def _mixed(energy: TokenEnergy, steady: Floats, decode: Floats, call: Floats) -> Quantities:
    """The steady part and the decode part of each call as one log-normal."""
    mean = steady + decode
    nothing = mean <= 0
    safe = np.where(nothing, 1.0, mean)
    a, b = steady / safe, decode / safe
    steady_moment, decode_moment, cross_moment = energy.moments
    moment = a * a * steady_moment + b * b * decode_moment + a * b * cross_moment
    shared = np.log(np.maximum(moment, 1.0))
    sm, sp, so, dm, dp, do = energy.sds
    parts = [(a * x + b * y) ** 2 for x, y in ((sm, dm), (sp, dp), (so, do))]
    whole = parts[0] + parts[1] + parts[2]
    scale = np.where(whole > 0, shared / np.where(whole > 0, whole, 1.0), 0.0)
    p50 = np.where(nothing, 0.0, mean * np.exp((shared + call) / -2))
    known = [np.where(nothing, 0.0, part * scale) for part in parts]
    return Quantities(p50, Variances(known[0], known[1], known[2], np.zeros_like(mean), call))


def _call_variances(known: Mapping[tuple[UsageSource, bool], float], usages: UsageColumns) -> Floats:
    whole, cut = (np.array([known[source, partial] for source in USAGE_SOURCES]) for partial in (False, True))
    found: Floats = np.where(usages.partial, cut[usages.source], whole[usages.source])
    return found
