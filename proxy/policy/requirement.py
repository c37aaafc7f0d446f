"""Why a deployment may not serve under a policy, in one word each. It must never take the unknown for good."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from config.policies import Require
from config.providers import Dialect, provider_id
from proxy.call import Caller
from proxy.policy.candidates import Candidate
from proxy.policy.decide import KEYLESS_PROVIDERS, may_use
from proxy.policy.option import Option


def unmet(require: Require, option: Option) -> str | None:
    """The first requirement that the option does not meet; None when it meets all of them. Water is compared elsewhere."""
    return next((name for name, fails in _FAILS.items() if getattr(require, name) is not None and fails(require, option)), None)


def _region(require: Require, option: Option) -> bool:
    place = option.candidate.place
    return place.assumed or place.region not in (require.region_in or ())


def _zone(require: Require, option: Option) -> bool:
    place = option.candidate.place
    return place.assumed or place.zone not in (require.zone_in or ())


def _intensity(require: Require, option: Option) -> bool:
    place = option.candidate.place
    return place.assumed or place.gco2e_per_kwh.value > (require.zone_gco2e_per_kwh_at_most or 0)


def _quality(require: Require, option: Option) -> bool:
    return option.quality is None or option.quality < (require.quality_at_least or 0)


def _provider(require: Require, option: Option) -> bool:
    return option.candidate.provider not in {provider_id(name) for name in require.provider_in or ()}


def _weights(require: Require, option: Option) -> bool:
    return not option.is_known or option.card.open_weights is not require.open_weights


_FAILS: Mapping[str, Callable[[Require, Option], bool]] = {
    "region_in": _region,
    "zone_in": _zone,
    "zone_gco2e_per_kwh_at_most": _intensity,
    "quality_at_least": _quality,
    "provider_in": _provider,
    "open_weights": _weights,
}


class Asker(NamedTuple):
    """Who asks, for what kind of call. translates: whether a path can be carried in another dialect than the provider's."""

    caller: Caller
    dialect: Dialect
    path: str
    weighed_as: str
    translates: Callable[[str], bool]


def barred(option: Option, row: tuple[Option, ...], asker: Asker) -> str | None:
    """Why an option of another alias cannot take the call: its kind, its dialect, the caller's list, whose key it takes."""
    return next(_bars(option, row, asker), None)


def _bars(option: Option, row: tuple[Option, ...], asker: Asker) -> Iterator[str]:
    candidate, caller = option.candidate, asker.caller
    if not option.does(asker.weighed_as):
        yield "operation"
    is_translated = candidate.door_of(asker.dialect) == "litellm"
    if is_translated and (candidate.deployment.door == "wire" or not asker.translates(asker.path)):
        yield "dialect"
    if not may_use(caller, option.alias):
        yield "model_not_allowed"
    if not _may_spend(candidate, row, caller, asker.dialect):
        yield "no_key"


def _may_spend(candidate: Candidate, row: tuple[Option, ...], caller: Caller, dialect: Dialect) -> bool:
    """A caller's own key goes to the address that it was meant for: that of the first keyless deployment of the alias asked for."""
    if candidate.has_credentials or candidate.is_simulated:
        return True
    if not caller.forwards_own_key:
        return candidate.provider in KEYLESS_PROVIDERS
    meant = next((each.candidate for each in row if not each.candidate.has_credentials and not each.candidate.is_simulated), None)
    if meant is None or (dialect != "openai" and dialect not in candidate.bases):
        return False
    return (candidate.provider, candidate.base_url, candidate.bases.get(dialect)) == (
        meant.provider,
        meant.base_url,
        meant.bases.get(dialect),
    )
