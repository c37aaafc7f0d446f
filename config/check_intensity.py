"""What each live source of intensity needs, and which zones it knows. It must never ask one."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from config.explain import closest
from config.listen import url_fault
from config.problem import Finding, KeyPath
from config.settings import IntensityKind, LiveIntensity, Settings

# fmt: off
ENERGY_CHARTS_ZONES = frozenset((
    "AL", "AT", "BA", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GE", "GR", "HR", "HU", "IE",
    "IT", "LT", "LU", "LV", "MD", "ME", "MK", "NL", "NO", "PL", "PT", "RO", "RS", "SE", "SI", "SK", "UA", "XK",
))
# fmt: on
_ZONE = re.compile(r"[A-Z]{2}(-[A-Z0-9]+)*")
_WATTTIME_REGION = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a source must be given. zones: those it knows, None where only their form can be checked."""

    zones: frozenset[str] | None = None
    form: re.Pattern[str] = _ZONE
    form_words: str = "a grid zone such as FR or US-MIDA-PJM, in capitals"
    token: bool = False
    user: bool = False


NEEDS: Mapping[IntensityKind, Needs] = {
    "energy-charts": Needs(zones=ENERGY_CHARTS_ZONES),
    "uk-neso": Needs(zones=frozenset({"GB"})),
    "france-odre": Needs(zones=frozenset({"FR"})),
    "electricity-maps": Needs(token=True),
    "watttime": Needs(form=_WATTTIME_REGION, form_words="a region as WattTime names it, such as CAISO_NORTH", token=True, user=True),
}


def intensity_faults(settings: Settings) -> Iterator[Finding]:
    """What cannot work among the live sources."""
    seen: set[tuple[str, str]] = set()
    for index, source in enumerate(settings.intensity.sources):
        path: KeyPath = ("intensity", "sources", index)
        yield from _access_faults(path, source)
        for place, zone in enumerate(source.zones):
            if fault := _zone_fault(source.kind, zone):
                yield Finding(path=(*path, "zones", place), message=fault)
            elif (source.kind, zone) in seen:
                yield Finding(path=(*path, "zones", place), message=f"`{zone}` is asked of {source.kind} already")
            seen.add((source.kind, zone))


def _access_faults(path: KeyPath, source: LiveIntensity) -> Iterator[Finding]:
    needs = NEEDS[source.kind]
    for name, needed, given in (("token", needs.token, source.token), ("user", needs.user, source.user)):
        if needed and not given:
            yield Finding(path=(*path, "kind"), message=f"`{source.kind}` needs `{name}:`")
        elif given and not needed:
            yield Finding(path=(*path, name), message=f"`{source.kind}` takes none; leave it out")
    if source.url is not None and (fault := url_fault(source.url)):
        yield Finding(path=(*path, "url"), message=fault)


def _zone_fault(kind: IntensityKind, zone: str) -> str | None:
    needs = NEEDS[kind]
    if needs.zones is None:
        return None if needs.form.fullmatch(zone) else f"is not {needs.form_words}"
    return None if zone in needs.zones else f"`{kind}` has no zone `{zone}`{closest(zone, needs.zones)}"
