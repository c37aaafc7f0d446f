"""Reads zones, regions, groups and providers into places. It must never accept a row that refers to a place that is not there."""

from importlib.resources.abc import Traversable

from config.grid import ProviderDefault, Region, RegionGroup, Zone
from config.hosts import Hosts
from config.places import UNKNOWN, WORLD, Places
from config.ranges import Range
from config.rows import Row, read_rows

ZONE_COLUMNS = (
    "zone", "name", "gco2e_per_kwh", "gco2e_low", "gco2e_high", "year", "basis", "source", "url", "licence",
    "water_l_per_kwh", "water_low", "water_high", "primary_energy_mj_per_kwh", "primary_energy_low", "primary_energy_high",
    "adpe_kgsbeq_per_kwh", "adpe_low", "adpe_high", "mix_is_world_default",
)  # fmt: skip
SITE_COLUMNS = ("gco2e_low", "gco2e_high", "pue", "pue_low", "pue_high", "wue_l_per_kwh", "wue_low", "wue_high")
REGION_COLUMNS = (
    "provider", "region", "name", "zone", *SITE_COLUMNS, "pue_basis", "wue_basis",
    "market_based_gco2e_per_kwh", "market_based_basis", "source", "url", "year",
)  # fmt: skip
GROUP_COLUMNS = ("provider", "group", "zone", "members", "source", "url", "year")
ALIAS_COLUMNS = ("provider", "alias", "region", "kind", "source", "year", "note")
DEFAULT_COLUMNS = (
    "provider", "aliases", "hosts", "cloud", "region", "zone", *SITE_COLUMNS, "at_scale",
    "confidence", "assumption", "source", "url", "year",
)  # fmt: skip
MIX_FACTORS = ("water", "primary_energy", "adpe")


def read_places(folder: Traversable) -> Places:
    """The places of `folder`; raises ValueError naming file, line and column."""
    zones = _zones(folder)
    regions = _regions(folder, zones)
    groups = _groups(folder, zones, regions)
    aliases, fixed_hosts = _aliases(folder, regions, groups)
    defaults = _defaults(folder, zones, regions, groups)
    hosts = Hosts(((row.provider, pattern) for row in defaults.values() for pattern in row.hosts), fixed_hosts)
    return Places(
        zones=zones,
        regions=regions.values(),
        groups=groups.values(),
        region_aliases=aliases,
        defaults=defaults.values(),
        hosts=hosts,
    )


def _zones(folder: Traversable) -> dict[str, Zone]:
    zones: dict[str, Zone] = {}
    for row in read_rows(folder, "zones.csv", ZONE_COLUMNS):
        zone_id = row.text("zone")
        if zone_id in zones:
            row.refuse("zone", f"{zone_id!r} stands there twice")
        if "lifecycle" not in row.text("basis"):
            row.refuse("basis", "must be a lifecycle basis")
        flags = row.words("mix_is_world_default")
        if not set(flags) <= set(MIX_FACTORS):
            row.refuse("mix_is_world_default", f"must be among {' '.join(MIX_FACTORS)}")
        zones[zone_id] = Zone(
            id=zone_id,
            name=row.text("name"),
            gco2e_per_kwh=row.span("gco2e_per_kwh", "gco2e_low", "gco2e_high"),
            year=row.year("year"),
            basis=row.text("basis"),
            source=row.text("source"),
            url=row.url("url"),
            licence=row.text("licence"),
            water_offsite_l_per_kwh=row.span("water_l_per_kwh", "water_low", "water_high"),
            primary_energy_mj_per_kwh=row.span("primary_energy_mj_per_kwh", "primary_energy_low", "primary_energy_high"),
            adpe_kgsbeq_per_kwh=row.span("adpe_kgsbeq_per_kwh", "adpe_low", "adpe_high"),
            mix_is_world_default=flags,
        )
    if WORLD not in zones:
        raise ValueError(f"zones.csv:1: column 'zone': the zone {WORLD} is missing")
    return zones


def _regions(folder: Traversable, zones: dict[str, Zone]) -> dict[tuple[str, str], Region]:
    regions: dict[tuple[str, str], Region] = {}
    for row in read_rows(folder, "regions.csv", REGION_COLUMNS):
        key = row.text("provider"), row.text("region")
        if key in regions or key[1] != key[1].lower():
            row.refuse("region", f"{key[1]!r} stands there twice or is not lower case")
        market = row.maybe_number("market_based_gco2e_per_kwh")
        if market is not None:
            row.text("market_based_basis")
        zone = _known_zone(row, zones)
        regions[key] = Region(
            provider=key[0],
            region=key[1],
            name=row.text("name"),
            zone=zone.id,
            gco2e_per_kwh=_own_intensity(row, zone),
            pue=_pue(row),
            wue_onsite_l_per_kwh=row.span("wue_l_per_kwh", "wue_low", "wue_high"),
            market_based_gco2e_per_kwh=market,
            source=row.text("source"),
            year=_sourced_year(row),
        )
    return regions


def _groups(folder: Traversable, zones: dict[str, Zone], regions: dict[tuple[str, str], Region]) -> dict[tuple[str, str], RegionGroup]:
    groups: dict[tuple[str, str], RegionGroup] = {}
    for row in read_rows(folder, "region_groups.csv", GROUP_COLUMNS):
        key = row.text("provider"), row.text("group")
        if key in groups or key in regions:
            row.refuse("group", f"{key[1]!r} stands there twice")
        members = row.words("members")
        unknown = [member for member in members if (key[0], member) not in regions]
        if unknown or not members:
            row.refuse("members", f"{' '.join(unknown) or 'none'}: not in regions.csv")
        groups[key] = RegionGroup(
            provider=key[0],
            group=key[1],
            zone=_known_zone(row, zones).id,
            members=members,
            source=row.text("source"),
            year=_sourced_year(row),
        )
    return groups


def _aliases(
    folder: Traversable, regions: dict[tuple[str, str], Region], groups: dict[tuple[str, str], RegionGroup]
) -> tuple[dict[tuple[str, str], str], list[tuple[str, str, str]]]:
    """Other names of regions, and hosts that stand for one region."""
    aliases: dict[tuple[str, str], str] = {}
    hosts: list[tuple[str, str, str]] = []
    for row in read_rows(folder, "region_aliases.csv", ALIAS_COLUMNS):
        provider, alias, region = row.text("provider"), row.text("alias").lower(), row.text("region")
        kind = row.one_of("kind", ("name", "host"))
        if kind == "host":
            hosts.append((provider, alias, region))
            continue
        if (provider, region) not in regions and (provider, region) not in groups:
            row.refuse("region", f"{region!r} is no region or group of {provider}")
        if (provider, alias) in aliases or (provider, alias) in regions or (provider, alias) in groups:
            row.refuse("alias", f"{alias!r} stands there twice")
        aliases[provider, alias] = region
    return aliases, hosts


def _defaults(
    folder: Traversable,
    zones: dict[str, Zone],
    regions: dict[tuple[str, str], Region],
    groups: dict[tuple[str, str], RegionGroup],
) -> dict[str, ProviderDefault]:
    defaults: dict[str, ProviderDefault] = {}
    names: set[str] = set()
    for row in read_rows(folder, "provider_defaults.csv", DEFAULT_COLUMNS):
        provider, aliases, cloud, region = row.text("provider"), row.words("aliases"), row.text("cloud"), row.optional("region")
        if names & {provider, *aliases}:
            row.refuse("aliases", f"{' '.join(names & {provider, *aliases})} stands there twice")
        names |= {provider, *aliases}
        if region and (cloud, region) not in regions and (cloud, region) not in groups:
            row.refuse("region", f"{region!r} is no region or group of {cloud}")
        zone = _known_zone(row, zones)
        defaults[provider] = ProviderDefault(
            provider=provider,
            aliases=aliases,
            hosts=row.words("hosts"),
            cloud=cloud,
            region=region,
            zone=zone.id,
            gco2e_per_kwh=_own_intensity(row, zone),
            pue=_pue(row),
            wue_onsite_l_per_kwh=row.span("wue_l_per_kwh", "wue_low", "wue_high"),
            at_scale=row.flag("at_scale"),
            confidence=row.text("confidence"),
            assumption=row.text("assumption"),
            source=row.text("source"),
            year=_sourced_year(row),
        )
    if UNKNOWN not in defaults:
        raise ValueError(f"provider_defaults.csv:1: column 'provider': the provider {UNKNOWN} is missing")
    return defaults


def _known_zone(row: Row, zones: dict[str, Zone]) -> Zone:
    zone = row.text("zone")
    return zones[zone] if zone in zones else row.refuse("zone", f"{zone!r} is not in zones.csv")


def _own_intensity(row: Row, zone: Zone) -> Range | None:
    """The zone's central value within the row's own span, None when the row states no span."""
    low, high = row.maybe_number("gco2e_low"), row.maybe_number("gco2e_high")
    if low is None or high is None:
        return None
    value = zone.gco2e_per_kwh.value
    return Range(value, low, high) if low <= value <= high else row.refuse("gco2e_low", f"{low:g} to {high:g} does not hold {value:g}")


def _pue(row: Row) -> Range:
    pue = row.span("pue", "pue_low", "pue_high")
    return pue if pue.low >= 1 else row.refuse("pue_low", "a PUE is at least 1")


def _sourced_year(row: Row) -> int:
    """The year of a row whose address is checked with it."""
    row.url("url")
    return row.year("year")
