"""Places: from what is known of a call to the factors of a location. It must never let an unknown place fail or look certain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.places import Place
from config.tables import load_tables

PLACES = load_tables().places
ZONES = {zone.id: zone for zone in PLACES.zones()}


def test_every_zone_is_a_lifecycle_average_that_can_be() -> None:
    for zone in ZONES.values():
        assert "lifecycle" in zone.basis, zone
        assert 5 < zone.gco2e_per_kwh.value < 1500, zone
        assert zone.gco2e_per_kwh.high / zone.gco2e_per_kwh.low > 1.3, zone
        assert 2018 <= zone.year <= 2026, zone
        assert 0 < zone.water_offsite_l_per_kwh.value < zone.water_offsite_l_per_kwh.high < 100, zone
        assert 0 < zone.primary_energy_mj_per_kwh.value < zone.primary_energy_mj_per_kwh.high < 60, zone
        assert 0 < zone.adpe_kgsbeq_per_kwh.low < zone.adpe_kgsbeq_per_kwh.high < 1e-5, zone


def test_direct_only_families_are_not_there() -> None:
    assert not [zone for zone in ZONES if zone.startswith(("US-EGRID", "US-STATE", "CN-"))]
    assert {"FR", "SE-SE3", "US", "EU27", "WORLD"} <= set(ZONES)


def test_every_region_resolves_to_its_zone() -> None:
    for region in PLACES.regions():
        place = PLACES.resolve(region.provider, region=region.region)
        assert (place.region, place.zone) == (region.region, region.zone), region
        assert not place.assumed, region
        assert place.tier == "C", region
        assert 1 <= place.pue.low <= place.pue.value <= place.pue.high < 2, region
        assert place.gco2e_per_kwh.low < place.gco2e_per_kwh.value < place.gco2e_per_kwh.high, region
        assert place.intensity_source == ZONES[region.zone].source, region


@pytest.mark.parametrize(
    ("provider", "region", "zone"),
    [
        ("azure", "swedencentral", "SE-SE3"),
        ("azure", "Sweden Central", "SE-SE3"),
        ("bedrock", "eu-north-1", "SE-SE3"),
        ("aws", "us-east-1", "US-MIDA-PJM"),
        ("vertex_ai", "us-central1", "US-MIDW-MISO"),
        ("gcp-vertex", "europe-west9", "FR"),
        ("ovhcloud", "GRA7", "FR"),
        ("scaleway", "fr-par-1", "FR"),
        ("openai", "eu", "EU27"),
        ("openai", "us", "US"),
    ],
)
def test_a_stated_region_is_known_by_its_names(provider: str, region: str, zone: str) -> None:
    place = PLACES.resolve(provider, region=region)
    assert place.zone == zone
    assert not place.assumed
    assert place.warnings == ()


def test_a_stated_zone_goes_before_all() -> None:
    place = PLACES.resolve("azure", region="swedencentral", zone="FR", api_host="x.openai.azure.com")
    assert (place.zone, place.region, place.tier) == ("FR", "swedencentral", "C")
    assert place.gco2e_per_kwh == ZONES["FR"].gco2e_per_kwh
    assert place.pue == PLACES.resolve("azure", region="swedencentral").pue
    assert PLACES.resolve("local", zone="fr").zone == "FR"


def test_a_group_is_the_mean_of_its_members_with_their_extremes() -> None:
    names = ("eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3")
    members = [PLACES.resolve("aws", region=name) for name in names]
    values = [member.gco2e_per_kwh.value for member in members]
    for name in ("eu.", "eu"):
        place = PLACES.resolve("bedrock", region=name)
        assert place.gco2e_per_kwh.value == pytest.approx(sum(values) / len(values), rel=1e-9)
        assert (place.gco2e_per_kwh.low, place.gco2e_per_kwh.high) == (min(values), max(values))
        assert place.pue.low <= place.pue.value <= place.pue.high
        assert (place.region, place.zone, place.assumed, place.tier) == ("eu", "EU27", False, "D")
        assert place.warnings == ("region-is-a-group",)
        assert place.market_based_gco2e_per_kwh is None


@pytest.mark.parametrize(
    ("host", "provider", "region"),
    [
        ("api.openai.com", "openai", None),
        ("https://api.openai.com/v1", "openai", None),
        ("API.OpenAI.com:443", "openai", None),
        ("eu.api.openai.com", "openai", "eu"),
        ("acme.openai.azure.com", "azure", None),
        ("acme.services.ai.azure.com", "azure", None),
        ("bedrock-runtime.eu-west-3.amazonaws.com", "aws-bedrock", "eu-west-3"),
        ("europe-west4-aiplatform.googleapis.com", "gcp-vertex", "europe-west4"),
        ("generativelanguage.googleapis.com", "google-gemini", None),
        ("api.anthropic.com", "anthropic", None),
        ("api.mistral.ai", "mistral", None),
        ("dashscope-intl.aliyuncs.com", "dashscope", "sg"),
        ("oai.endpoints.kepler.ai.cloud.ovh.net", "ovhcloud", None),
        ("localhost:11434", "local", None),
        ("http://127.0.0.1:8000/v1", "local", None),
        ("http://[::1]:8000/v1", "local", None),
        ("https://user:secret@api.groq.com/openai/v1", "groq", None),
    ],
)
def test_a_host_tells_its_provider_and_maybe_its_region(host: str, provider: str, region: str | None) -> None:
    assert PLACES.provider_of_host(host) == provider
    place = PLACES.resolve(provider, api_host=host)
    assert place.provider == provider
    if region:
        assert place.region == region
        assert not place.assumed
    else:
        assert place.assumed


@pytest.mark.parametrize(
    "host", ["", "example.com", "openai.com.evil.example", "api.openai.com.evil.example", "evil-api.openai.com", "://", "[", "a" * 10_000]
)
def test_a_strange_host_tells_nothing(host: str) -> None:
    assert PLACES.provider_of_host(host) is None


def test_a_stated_region_goes_before_the_host() -> None:
    assert PLACES.resolve("openai", region="us", api_host="eu.api.openai.com").zone == "US"


def test_an_unknown_provider_is_told_from_its_host() -> None:
    place = PLACES.resolve("unknown", api_host="api.mistral.ai")
    assert (place.provider, place.zone, place.warnings) == ("mistral", "SE", ("region-assumed",))


def test_a_provider_that_does_not_say_is_placed_by_its_default() -> None:
    place = PLACES.resolve("openai")
    assert (place.zone, place.region, place.assumed, place.tier) == ("US", None, True, "D")
    assert place.gco2e_per_kwh.low < 150 < 600 < place.gco2e_per_kwh.high
    assert place.warnings == ("region-assumed",)


def test_each_step_of_the_way_to_a_place_goes_before_the_next() -> None:
    """Configured zone, configured region, region in the URL, provider's group of regions, provider's zone, world."""
    host = "bedrock-runtime.eu-west-3.amazonaws.com"
    ladder = [
        PLACES.resolve("aws-bedrock", zone="PL", region="eu-north-1", api_host=host),
        PLACES.resolve("aws-bedrock", region="eu-north-1", api_host=host),
        PLACES.resolve("aws-bedrock", region="eu", api_host=host),
        PLACES.resolve("aws-bedrock", api_host=host),
        PLACES.resolve("aws-bedrock", api_host="bedrock.example.com"),
        PLACES.resolve("mistral"),
        PLACES.resolve("nobody"),
    ]
    assert [place.zone for place in ladder] == ["PL", "SE-SE3", "EU27", "FR", "WORLD", "SE", "WORLD"]
    assert [place.assumed for place in ladder] == [False, False, False, False, True, True, True]
    assert [place.tier for place in ladder] == ["C", "C", "D", "C", "D", "D", "E"]
    assert ["region-is-a-group" in place.warnings for place in ladder] == [False, False, True, False, True, False, False]


@pytest.mark.parametrize("zone", ["DK-DK1", "CA-BC", "AU-QLD", "NO-NO3", "US-NY-NYIS", "IT-SO"])
def test_a_finer_zone_than_any_region_needs_may_be_stated_too(zone: str) -> None:
    place = PLACES.resolve("local", zone=zone)
    assert (place.zone, place.warnings, place.intensity_year, place.intensity_licence) == (zone, (), 2025, "ODbL-1.0")
    assert place.water_offsite_l_per_kwh == ZONES[zone[:2]].water_offsite_l_per_kwh


@pytest.mark.parametrize("provider", ["azure", "bedrock", "vertex_ai"])
def test_a_cloud_without_region_is_placed_anywhere_it_serves(provider: str) -> None:
    place = PLACES.resolve(provider)
    assert place.assumed
    assert place.tier == "D"
    assert place.warnings == ("region-is-a-group", "region-assumed")
    assert place.gco2e_per_kwh.high / place.gco2e_per_kwh.low > 10


@pytest.mark.parametrize(("provider", "warnings"), [("simulated", ("region-assumed",)), ("nobody", ("provider-unknown", "region-assumed"))])
def test_what_nobody_knows_is_placed_in_the_world(provider: str, warnings: tuple[str, ...]) -> None:
    place = PLACES.resolve(provider)
    assert (place.provider, place.zone, place.assumed, place.tier) == (provider, "WORLD", True, "E")
    assert place.warnings == warnings
    assert place.gco2e_per_kwh.value == pytest.approx(472.94)


def test_a_local_server_stands_between_a_desk_and_a_server_room() -> None:
    place = PLACES.resolve("ollama")
    assert (place.provider, place.zone, place.assumed) == ("local", "WORLD", True)
    assert (place.pue.value, place.pue.low, place.pue.high) == (1.3, 1.05, 1.8)


def test_an_unknown_region_or_zone_falls_back_and_says_so() -> None:
    place = PLACES.resolve("openai", region="mars-1", zone="PLUTO")
    assert place.zone == "US"
    assert place.assumed
    assert place.warnings == ("zone-unknown", "region-unknown", "region-assumed")


def test_market_based_stands_only_where_it_is_published() -> None:
    assert PLACES.resolve("scaleway", region="fr-par").market_based_gco2e_per_kwh == 0
    assert PLACES.resolve("gcp-vertex", region="europe-west1").market_based_gco2e_per_kwh is None
    assert PLACES.resolve("scaleway", region="fr-par", zone="DE").market_based_gco2e_per_kwh is None


def test_every_provider_resolves_under_all_its_names() -> None:
    for default in PLACES.providers():
        place = PLACES.resolve(default.provider)
        assert place.assumed, default
        assert place.provider == default.provider
        for alias in default.aliases:
            assert PLACES.resolve(alias.upper()) == place, alias


@given(st.text(max_size=60), st.none() | st.text(max_size=60), st.none() | st.text(max_size=60), st.none() | st.text(max_size=300))
def test_no_place_raises_and_none_is_without_doubt(provider: str, region: str | None, zone: str | None, api_host: str | None) -> None:
    check(PLACES.resolve(provider, region=region, zone=zone, api_host=api_host))


@given(
    st.sampled_from([row.provider for row in PLACES.providers()]),
    st.none() | st.sampled_from([region.region for region in PLACES.regions()]),
    st.none() | st.sampled_from(list(ZONES)),
)
def test_real_names_in_any_combination_give_a_place(provider: str, region: str | None, zone: str | None) -> None:
    place = PLACES.resolve(provider, region=region, zone=zone)
    check(place)
    if zone:
        assert place.zone == zone


def check(place: Place) -> None:
    """What holds of every place."""
    assert place.zone in ZONES
    assert place.gco2e_per_kwh.low < place.gco2e_per_kwh.value < place.gco2e_per_kwh.high
    assert place.pue.low >= 1
    assert place.tier in {"C", "D", "E"}
    assert place.assumed == ("region-assumed" in place.warnings)
