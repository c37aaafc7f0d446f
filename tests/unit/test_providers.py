"""The table of providers: ids that the place tables know, one id for every spelling, a door for each, and names as LiteLLM has them."""

import pytest

from config.deployment import Alias, Deployment
from config.places import UNKNOWN
from config.providers import (
    FOREIGN_BASES,
    KNOWN_NAMES,
    LITELLM_NAMES,
    OTHER_NAMES,
    OWN_ADDRESS,
    OWN_CREDENTIALS,
    PUBLIC_BASES,
    SIMULATED,
    TRANSLATED,
    litellm_name,
    names_of,
    provider_id,
    public_base,
    spoken_by,
)
from config.settings import Settings
from config.tables import load_tables
from proxy.policy.candidates import Candidate, candidates_from
from proxy.upstream.litellm_target import bare_name, target_of

PLACES = load_tables().places
IDS = sorted({*PUBLIC_BASES, *LITELLM_NAMES, *TRANSLATED, *OTHER_NAMES.values(), *(name for name, _ in FOREIGN_BASES)} - {SIMULATED})


@pytest.mark.parametrize("provider", IDS)
def test_every_provider_has_a_place_and_a_way_in(provider: str) -> None:
    place = PLACES.resolve(provider)
    assert place.provider != UNKNOWN
    assert "provider-unknown" not in place.warnings
    reached = any(public_base(provider, dialect) for dialect in spoken_by(provider)) or provider in LITELLM_NAMES
    assert reached or provider in OWN_ADDRESS


@pytest.mark.parametrize(("name", "provider"), OTHER_NAMES.items())
def test_every_spelling_means_the_place_of_its_provider(name: str, provider: str) -> None:
    assert provider_id(f" {name.upper()} ") == provider
    assert PLACES.resolve(name).provider == PLACES.resolve(provider).provider
    assert name not in LITELLM_NAMES, "a spelling is not an id too"


def test_what_is_translated_has_a_name_there_and_what_has_credentials_is_translated() -> None:
    assert set(LITELLM_NAMES) >= TRANSLATED >= OWN_CREDENTIALS
    assert {*OTHER_NAMES, *LITELLM_NAMES, *PUBLIC_BASES, SIMULATED} == KNOWN_NAMES


def test_an_own_server_is_asked_as_an_openai_compatible_one() -> None:
    assert litellm_name("inhouse") == "openai"
    assert names_of("inhouse") == {"inhouse"}


@pytest.mark.parametrize(
    ("provider", "written", "name"),
    [
        ("aws-bedrock", "bedrock/eu.amazon.nova-lite-v1:0", "eu.amazon.nova-lite-v1:0"),
        ("aws-bedrock", "bedrock/converse/some-model", "converse/some-model"),
        ("together", "meta-llama/Llama-3.3", "meta-llama/Llama-3.3"),
        ("anthropic", "anthropic/", "anthropic/"),
        ("inhouse", "openai/gpt-oss-20b", "openai/gpt-oss-20b"),
    ],
)
def test_the_providers_name_before_a_models_is_no_part_of_it(provider: str, written: str, name: str) -> None:
    assert bare_name(provider, written) == name


def test_a_deployments_region_key_and_address_stand_where_litellm_looks_for_them() -> None:
    bedrock = Deployment(provider="bedrock", region="eu-west-3", params={"aws_secret_access_key": "a-long-secret"})
    target = target_of(bedrock, "amazon.nova-lite-v1:0", None, "chat")
    assert (target.model, target.settings["aws_region_name"]) == ("bedrock/amazon.nova-lite-v1:0", "eu-west-3")
    assert "a-long-secret" in target.secrets
    told = Deployment(provider="bedrock", region="eu-west-3", params={"aws_region_name": "eu-central-1"})
    assert target_of(told, "m", None, "chat").settings["aws_region_name"] == "eu-central-1"
    claude = Deployment(provider="anthropic", api_base="https://proxy.example/v1/")
    assert target_of(claude, "m", "sk-1234567890", "chat").settings == {"api_base": "https://proxy.example", "api_key": "sk-1234567890"}
    cohere = Deployment(provider="cohere", api_base="https://cohere.example/v2")
    assert target_of(cohere, "m", "k", "embeddings").settings["api_base"] == "https://cohere.example/v2/embed"


def _only(pattern: str, provider: str) -> Candidate:
    settings = Settings(models={pattern: Alias(deployments=[Deployment(provider=provider)])})
    candidates = candidates_from(settings, PLACES)
    return candidates.patterns[0][1][0] if candidates.patterns else candidates.exact[pattern][0]


@pytest.mark.parametrize(
    ("pattern", "provider", "alias", "name"),
    [
        ("groq/*", "groq", "groq/llama-3.3-70b", "llama-3.3-70b"),
        ("bedrock/*", "aws-bedrock", "bedrock/amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("anthropic/*", "openrouter", "anthropic/claude-sonnet-4", "anthropic/claude-sonnet-4"),
        ("*", "groq", "groq/compound", "groq/compound"),
    ],
)
def test_a_pattern_of_the_providers_own_name_is_taken_off(pattern: str, provider: str, alias: str, name: str) -> None:
    assert _only(pattern, provider).name_of(alias) == name
