"""Weighs token counts in GPU joules with coefficients computed once. It must never do more per call than a few multiplications."""

import math
from collections.abc import Mapping

from estimators.energy import PerUnit
from estimators.physics_call import CallEnergy
from estimators.quantity import LogVariance, Quantity, add
from estimators.usage import Usage, UsageSource

_new = tuple.__new__
"""Builds a named tuple without the cost of its argument parsing."""


class TokenEnergy:
    """Prefill, decode, attention and vision of one deployment, ready for the hot path; token_energy_many.py repeats it for columns."""

    __slots__ = ("call_variance", "energy", "moments", "per_unit_j", "sds", "shape")

    def __init__(self, energy: CallEnergy, call_variance: Mapping[tuple[UsageSource, bool], float]) -> None:
        """call_variance: variance of the logarithm by who counted and whether the answer was cut."""
        self.energy = energy
        self.call_variance = call_variance
        steady, decode = energy.steady_doubt, energy.decode.variance
        self.sds = tuple(math.sqrt(v) for v in (*steady[:3], *decode[:3]))
        cross = math.fsum(math.sqrt(x * y) for x, y in zip(steady[:3], decode[:3], strict=True))
        self.moments = (math.exp(steady.total), math.exp(decode.total), 2 * math.exp(cross))
        self.shape = (
            energy.call_mean_j,
            energy.prefill_mean_j,
            1 - energy.cached_token_ratio,
            1 / energy.context_doubling_tokens,
            energy.attention_mean_j,
            energy.decode.mean,
        )
        self.per_unit_j = _per_unit(energy)

    def gpu_energy_j(self, usage: Usage) -> Quantity:
        """Its mean does not depend on who counted."""
        call = self.call_variance[usage.source, usage.partial]
        if usage.input_images or usage.image_input_tokens:
            return self._with_images(usage, call)
        return self.of_counts(usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, call, usage.calls)

    def mean_j(self, usage: Usage) -> float:
        """Expected joules of all GPUs, without the doubt: what routing compares, call by call and deployment by deployment."""
        if usage.input_images or usage.image_input_tokens:
            return self._with_images(usage, 0.0).mean
        call_j, prefill_j, cached_saving, per_context, attention_j, decode_j = self.shape
        n_in, n_out = usage.input_tokens, usage.output_tokens
        fresh, context = n_in - cached_saving * usage.cached_input_tokens, n_in / usage.calls
        read_j = call_j * usage.calls + prefill_j * fresh * (1 + context * per_context)
        return read_j + n_out * (attention_j * (context + n_out / usage.calls / 2) + decode_j)

    def of_counts(self, n_in: float, n_cached: float, n_out: int, call: float, calls: int = 1) -> Quantity:
        """Joules of so many tokens read, of them cached, and written, in so many calls; call: variance of the logarithm of the counts."""
        call_j, prefill_j, cached_saving, per_context, attention_j, decode_j = self.shape
        fresh = n_in - cached_saving * n_cached
        context = n_in / calls
        steady = call_j * calls + prefill_j * fresh * (1 + context * per_context) + attention_j * n_out * (context + n_out / calls / 2)
        decode = decode_j * n_out
        mean = steady + decode
        if mean <= 0:
            return Quantity(0.0, LogVariance(call=call))
        a = steady / mean
        b = decode / mean
        steady_moment, decode_moment, cross_moment = self.moments
        moment = a * a * steady_moment + b * b * decode_moment + a * b * cross_moment
        shared = math.log(moment) if moment > 1 else 0.0
        sm, sp, so, dm, dp, do = self.sds
        method = (a * sm + b * dm) ** 2
        provider = (a * sp + b * dp) ** 2
        model = (a * so + b * do) ** 2
        whole = method + provider + model
        part = shared / whole if whole > 0 else 0.0
        p50 = mean * math.exp((shared + call) / -2)
        return _new(Quantity, (p50, _new(LogVariance, (method * part, provider * part, model * part, 0.0, call))))

    def _with_images(self, usage: Usage, call: float) -> Quantity:
        """The vision encoder's energy on top; the image tokens themselves are inside the input tokens, as many as are computed."""
        ratio, sd = self.energy.billing
        shown = usage.image_input_tokens / ratio
        n_in = usage.input_tokens - usage.image_input_tokens + shown
        computed = n_in / usage.input_tokens if shown else 1.0
        n_cached = usage.cached_input_tokens * computed
        energy = self.of_counts(n_in, n_cached, usage.output_tokens, call, usage.calls)
        tokens = shown or usage.input_images * self.energy.tokens_per_image
        encoder = self.energy.image_token
        whole = add(energy, Quantity(encoder.p50 * tokens * math.exp(-call / 2), encoder.variance._replace(call=call)))
        if not (sd and shown):
            return whole
        _, prefill_j, cached_saving, per_context, _, _ = self.shape
        read = prefill_j * shown * (1 - cached_saving * n_cached / n_in) * (1 + n_in / usage.calls * per_context)
        encoded = encoder.p50 * tokens * math.exp(encoder.variance.total / 2)
        return _widened(whole, ((read + encoded) / whole.mean * sd) ** 2)


def _widened(q: Quantity, model: float) -> Quantity:
    """q with more variance in scope `model`, mean unchanged."""
    return Quantity(q.p50 * math.exp(-model / 2), q.variance._replace(model=q.variance.model + model))


def _per_unit(energy: CallEnergy) -> PerUnit:
    to_median = math.exp(-energy.steady_doubt.total / 2)
    fresh_j = energy.prefill_mean_j * to_median
    return PerUnit(
        fresh_input_token=fresh_j,
        cached_input_token=fresh_j * energy.cached_token_ratio,
        output_token=energy.decode.p50,
        call=energy.call_mean_j * to_median,
    )
