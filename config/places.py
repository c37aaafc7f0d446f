"""Where a call runs, as far as it is known. It must never fail on an unknown place, nor hide that a place is assumed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from config.grid import ProviderDefault, Region, RegionGroup, Zone
from config.hosts import Hosts
from config.place import Place
from config.ranges import Range

__all__ = ["Place", "Places"]

WORLD = "WORLD"
UNKNOWN = "unknown"
GROUP_WARNING = "region-is-a-group"


class Places:
    """All zones, regions, groups and providers, and the way from what is known of a call to a Place."""

    __slots__ = ("_defaults", "_group_places", "_groups", "_hosts", "_names", "_region_aliases", "_regions", "_zones")

    def __init__(
        self,
        *,
        zones: Mapping[str, Zone],
        regions: Iterable[Region],
        groups: Iterable[RegionGroup],
        region_aliases: Mapping[tuple[str, str], str],
        defaults: Iterable[ProviderDefault],
        hosts: Hosts,
    ) -> None:
        """region_aliases: (cloud, other name) -> region or group. The rows refer to each other; the reader has checked that."""
        self._zones = {zone_id.lower(): zone for zone_id, zone in zones.items()}
        self._regions = {(region.provider, region.region): region for region in regions}
        self._groups = {(group.provider, group.group): group for group in groups}
        self._region_aliases = dict(region_aliases)
        self._defaults = {default.provider: default for default in defaults}
        self._names = {name: row for row in self._defaults.values() for name in (row.provider, *row.aliases)}
        self._hosts = hosts
        self._group_places: dict[tuple[str, str, str], Place] = {}

    def zone(self, zone: str) -> Zone | None:
        """The zone of this id, None when the table does not hold it."""
        return self._zones.get(zone.lower())

    def zones(self) -> tuple[Zone, ...]:
        """All zones, in the order of the table."""
        return tuple(self._zones.values())

    def regions(self) -> tuple[Region, ...]:
        """All regions, in the order of the table."""
        return tuple(self._regions.values())

    def providers(self) -> tuple[ProviderDefault, ...]:
        """All providers, in the order of the table."""
        return tuple(self._defaults.values())

    def provider_of_host(self, host: str) -> str | None:
        """The provider behind a host, host:port or URL; None when the host tells nothing."""
        found = self._hosts.find(host)
        return found[0] if found else None

    def provider_of_vendor(self, vendor: str) -> str:
        """The provider by whom a vendor serves its own models; `unknown` where the table holds none of that name."""
        name = vendor.lower()
        return name if name in self._names else UNKNOWN

    def resolve(self, provider: str, *, region: str | None = None, zone: str | None = None, api_host: str | None = None) -> Place:
        """The place of a call: stated zone, stated region or group, what the host tells, provider's default, world. Never raises."""
        told = self._hosts.find(api_host) if api_host else None
        default = self._names.get(provider.strip().lower(), self._defaults[UNKNOWN])
        if default.provider == UNKNOWN and told:
            default = self._defaults[told[0]]
        warnings: tuple[str, ...] = ("provider-unknown",) if default.provider == UNKNOWN else ()
        named = replace(default, provider=provider or UNKNOWN) if default.provider == UNKNOWN else default
        place = self._of(named, told, region, zone, warnings)
        return replace(place, serves_at_scale=True) if named.at_scale else place

    def _of(
        self, named: ProviderDefault, told: tuple[str, str | None] | None, region: str | None, zone: str | None, warnings: tuple[str, ...]
    ) -> Place:
        stated = self._region_or_group(named, region) if region else None
        if zone:
            grid = self._zones.get(zone.strip().lower())
            if grid is not None:
                return self._in_zone(named, grid, stated, region, warnings)
            warnings += ("zone-unknown",)
        if stated is not None:
            return replace(stated, warnings=warnings + stated.warnings)
        if region:
            warnings += ("region-unknown",)
        found = self._region_or_group(self._defaults[told[0]], told[1]) if told and told[1] else None
        if found is not None:
            return replace(found, provider=named.provider, warnings=warnings + found.warnings)
        return self._by_default(named, warnings)

    def _region_or_group(self, default: ProviderDefault, name: str) -> Place | None:
        """The place of a region or group name of this provider's cloud; None when it has none of that name."""
        wanted = "".join(name.lower().split())
        for cloud in (default.provider, default.cloud):
            wanted = self._region_aliases.get((cloud, wanted), wanted)
            region = self._regions.get((cloud, wanted))
            if region is not None:
                return self._in_region(default.provider, region)
            group = self._groups.get((cloud, wanted))
            if group is not None:
                known = default.provider, cloud, wanted
                if known not in self._group_places:
                    self._group_places[known] = self._in_group(default.provider, group)
                return self._group_places[known]
        return None

    def _in_region(self, provider: str, region: Region) -> Place:
        zone = self._zones[region.zone.lower()]
        return _place(
            provider=provider,
            region=region.region,
            zone=zone,
            gco2e_per_kwh=region.gco2e_per_kwh or zone.gco2e_per_kwh,
            pue=region.pue,
            wue=region.wue_onsite_l_per_kwh,
            market_based=region.market_based_gco2e_per_kwh,
            assumed=False,
            tier="C",
            warnings=(),
        )

    def _in_zone(self, default: ProviderDefault, zone: Zone, stated: Place | None, region: str | None, warnings: tuple[str, ...]) -> Place:
        """A stated zone with the PUE and WUE of the stated region if that is known, else of the provider."""
        return _place(
            provider=default.provider,
            region=stated.region if stated else region,
            zone=zone,
            gco2e_per_kwh=zone.gco2e_per_kwh,
            pue=stated.pue if stated else default.pue,
            wue=stated.wue_onsite_l_per_kwh if stated else default.wue_onsite_l_per_kwh,
            market_based=stated.market_based_gco2e_per_kwh if stated and stated.zone == zone.id else None,
            assumed=False,
            tier="C",
            warnings=warnings,
        )

    def _in_group(self, provider: str, group: RegionGroup) -> Place:
        """The plain mean of the members, with their extremes as span: providers publish no traffic split."""
        places = [self._in_region(provider, self._regions[group.provider, member]) for member in group.members]
        zone = self._zones[group.zone.lower()]

        def over(pick: Callable[[Place], Range]) -> Range:
            return _mean([pick(place) for place in places])

        return replace(
            places[0],
            region=group.group,
            zone=zone.id,
            gco2e_per_kwh=over(lambda place: place.gco2e_per_kwh),
            intensity_year=min(place.intensity_year for place in places),
            market_based_gco2e_per_kwh=None,
            pue=over(lambda place: place.pue),
            wue_onsite_l_per_kwh=over(lambda place: place.wue_onsite_l_per_kwh),
            water_offsite_l_per_kwh=over(lambda place: place.water_offsite_l_per_kwh),
            primary_energy_mj_per_kwh=over(lambda place: place.primary_energy_mj_per_kwh),
            adpe_kgsbeq_per_kwh=over(lambda place: place.adpe_kgsbeq_per_kwh),
            tier="D",
            warnings=(GROUP_WARNING,),
        )

    def _by_default(self, default: ProviderDefault, warnings: tuple[str, ...]) -> Place:
        """The provider's default: its group of regions, else its zone with the provider's own span; always assumed."""
        if default.region:
            place = self._region_or_group(default, default.region)
            if place is not None:
                return replace(place, assumed=True, tier="D", warnings=(*warnings, *place.warnings, "region-assumed"))
        zone = self._zones[default.zone.lower()]
        return _place(
            provider=default.provider,
            region=None,
            zone=zone,
            gco2e_per_kwh=default.gco2e_per_kwh or zone.gco2e_per_kwh,
            pue=default.pue,
            wue=default.wue_onsite_l_per_kwh,
            market_based=None,
            assumed=True,
            tier="E" if zone.id == WORLD else "D",
            warnings=(*warnings, "region-assumed"),
        )


def _mean(ranges: list[Range]) -> Range:
    """Plain mean of the central values within the extremes of the central values and of a shared doubt."""
    low, high = min(one.value for one in ranges), max(one.value for one in ranges)
    if len(ranges) == 1 or low == high:
        return Range(ranges[0].value, min(one.low for one in ranges), max(one.high for one in ranges))
    return Range(sum(one.value for one in ranges) / len(ranges), low, high)


def _place(
    *,
    provider: str,
    region: str | None,
    zone: Zone,
    gco2e_per_kwh: Range,
    pue: Range,
    wue: Range,
    market_based: float | None,
    assumed: bool,
    tier: str,
    warnings: tuple[str, ...],
) -> Place:
    """A Place with the mix factors of its zone."""
    return Place(
        provider=provider,
        region=region,
        zone=zone.id,
        assumed=assumed,
        gco2e_per_kwh=gco2e_per_kwh,
        intensity_year=zone.year,
        intensity_source=zone.source,
        intensity_licence=zone.licence,
        market_based_gco2e_per_kwh=market_based,
        pue=pue,
        wue_onsite_l_per_kwh=wue,
        water_offsite_l_per_kwh=zone.water_offsite_l_per_kwh,
        primary_energy_mj_per_kwh=zone.primary_energy_mj_per_kwh,
        adpe_kgsbeq_per_kwh=zone.adpe_kgsbeq_per_kwh,
        tier=tier,
        warnings=warnings,
    )
