"""The live sources by their names in the configuration. It must never hold a setting."""

from collections.abc import Mapping

from config.settings import IntensityKind
from proxy.intensity import electricity_maps, energy_charts, france_odre, uk_neso, watttime
from proxy.intensity.reading import IntensitySource

SOURCES: Mapping[IntensityKind, IntensitySource] = {
    "energy-charts": energy_charts,
    "uk-neso": uk_neso,
    "france-odre": france_odre,
    "electricity-maps": electricity_maps,
    "watttime": watttime,
}
