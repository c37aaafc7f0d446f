"""The configuration loader: references, places of mistakes, cross-field rules, and silence about secrets."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config.check import matches, start_refusals
from config.listen import is_loopback, parse_listen, points_at
from config.load import ConfigError, load_settings
from config.schema import json_schema
from config.series import MOST_SERIES, SERIES_PER_TAGGED_PLACE, expected_series
from config.settings import Settings
from config.starter import starter_text
from config.substitute import fill
from config.yaml_tree import read_yaml


def load(text: str, tmp_path: Path, environ: dict[str, str] | None = None) -> Settings:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    return load_settings(file, environ or {})


def problems(text: str, tmp_path: Path, environ: dict[str, str] | None = None) -> dict[str, tuple[int, int, str]]:
    with pytest.raises(ConfigError) as caught:
        load(text, tmp_path, environ)
    return {problem.key: (problem.line, problem.column, problem.message) for problem in caught.value.problems}


def test_no_file_means_the_defaults() -> None:
    assert load_settings(None, {}) == Settings()


def test_grammage_config_names_the_file_and_an_argument_wins(tmp_path: Path) -> None:
    named, given_file = tmp_path / "named.yaml", tmp_path / "given.yaml"
    named.write_text("upstream: http://named/v1")
    given_file.write_text("upstream: http://given/v1")
    environ = {"GRAMMAGE_CONFIG": str(named)}
    assert load_settings(None, environ).upstream == "http://named/v1"
    assert load_settings(given_file, environ).upstream == "http://given/v1"


def test_grammage_upstream_replaces_upstream_and_openai_base_url_is_never_read(tmp_path: Path) -> None:
    environ = {"GRAMMAGE_UPSTREAM": "http://env/v1", "OPENAI_BASE_URL": "http://wrong/v1"}
    assert load("upstream: http://file/v1", tmp_path, environ).upstream == "http://env/v1"
    assert load_settings(None, {"OPENAI_BASE_URL": "http://wrong/v1"}).upstream is None


def test_a_bad_grammage_upstream_is_blamed_on_the_variable() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {"GRAMMAGE_UPSTREAM": "sftp://secret-host"})
    assert [(problem.file, problem.line) for problem in caught.value.problems] == [("GRAMMAGE_UPSTREAM", 0)]
    assert "secret-host" not in str(caught.value)


def test_a_file_that_is_not_there_is_a_problem_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="grammage init"):
        load_settings(tmp_path / "absent.yaml", {})


def test_references_are_replaced(tmp_path: Path) -> None:
    text = """
    user_hash_secret: "${SECRET}"
    redis: ${REDIS:-}
    upstream: "http://${HOST:-127.0.0.1}:9/v1"
    ledger: {queue_calls: "${CALLS}", url: "sqlite:///$${x}.db"}
    """
    settings = load(text, tmp_path, {"SECRET": "s3cr3t", "CALLS": "500"})
    assert (settings.user_hash_secret, settings.redis, settings.upstream) == ("s3cr3t", None, "http://127.0.0.1:9/v1")
    assert (settings.ledger.queue_calls, settings.ledger.url) == (500, "sqlite:///${x}.db")


def test_a_file_reference_is_read_and_its_line_end_cut(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"  spaced key \r\n")
    settings = load(f"user_hash_secret: file:{secret}", tmp_path)
    assert settings.user_hash_secret == "  spaced key "
    assert load("user_hash_secret: ${WHERE}", tmp_path, {"WHERE": f"file:{secret}"}).user_hash_secret == "  spaced key "


def test_what_a_reference_brings_is_not_read_again(tmp_path: Path) -> None:
    assert load("user_hash_secret: ${A}", tmp_path, {"A": "${B}", "B": "no"}).user_hash_secret == "${B}"


def test_every_unset_variable_and_unreadable_file_is_listed_at_once(tmp_path: Path) -> None:
    text = "redis: ${ONE}\nuser_hash_secret: file:/nowhere/x\nupstream: ${TWO}\nkeys: [{name: a, key: '${EMPTY}'}]\n"
    found = problems(text, tmp_path, {"EMPTY": ""})
    assert {key: place[0] for key, place in found.items()} == {"redis": 1, "user_hash_secret": 2, "upstream": 3, "keys[0].key": 4}
    assert "ONE is not set" in found["redis"][2]
    assert "EMPTY is empty" in found["keys[0].key"][2]


@pytest.mark.parametrize("wrong", ["${", "${}", "${1A}", "${A:-${B}}", "a${b c}"])
def test_a_malformed_reference_is_refused(wrong: str) -> None:
    assert [finding.path for finding in fill({"a": wrong}, {"A": "x", "B": "y"}).faults] == [("a",)]


@given(st.text(alphabet="ab$ {}\n\\", max_size=30))
def test_text_without_a_reference_stays_as_it_is(text: str) -> None:
    if "${" not in text:
        assert fill([text], {}).value == [text]


@given(st.dictionaries(st.text(max_size=5), st.text(alphabet="ab\\${}:-", max_size=8), max_size=3))
def test_a_value_survives_the_escape(values: dict[str, str]) -> None:
    escaped = {key: value.replace("${", "$${") for key, value in values.items() if "$${" not in value}
    expected = {key: value for key, value in values.items() if key in escaped}
    filled = fill(escaped, {})
    assert not filled.faults
    assert filled.value == expected


def test_an_unknown_key_gets_a_suggestion_at_its_line_and_column(tmp_path: Path) -> None:
    found = problems("server:\n  lisen: ':1'\n", tmp_path)
    assert found == {"server.lisen": (2, 3, "unknown key; did you mean `listen`?")}


def test_a_key_in_the_wrong_section_is_told_where_it_belongs(tmp_path: Path) -> None:
    assert "belongs under `ledger:`" in problems("durability: fsync", tmp_path)["durability"][2]


def test_another_version_gets_a_clear_hint(tmp_path: Path) -> None:
    line, column, message = problems("version: 2", tmp_path)["version"]
    assert (line, column) == (1, 10)
    assert "reads `version: 1`" in message


def test_repeated_keys_are_refused_and_both_lines_are_named(tmp_path: Path) -> None:
    assert problems("redis: a\nauth: open\nredis: b\n", tmp_path)["redis"] == (
        3,
        1,
        "this key is written twice, first on line 1; keep one of them",
    )


def test_all_kinds_of_problems_are_reported_together_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "auth: maybe\nledger: {queue_calls: many}\nredis: ${NOPE}\nfoo: 1\nmodels: {a: {deployments: []}}\n"
    with pytest.raises(ConfigError) as caught:
        load(text, tmp_path)
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [
        (1, "auth"),
        (2, "ledger.queue_calls"),
        (3, "redis"),
        (4, "foo"),
        (5, "models.a.deployments"),
    ]
    assert str(caught.value).splitlines()[0] == "5 problems in the configuration"


@pytest.mark.parametrize(
    "text",
    [
        "keys: [{name: a, key: hunter2}]",
        "keys: [{name: a, key: hunter2hunter2, tags: 3}, {name: a, key: hunter2hunter2}]",
        "models: {a: {deployments: [{provider: nope, api_key: hunter2}]}}",
        "models: {a: {deployments: [{provider: openai, api_key: [hunter2]}]}}",
        "models: {a: {deployments: [{provider: openai, api_base: 'https://me:hunter2@h/v1'}]}}",
        "ledger: {url: 'mysql://me:hunter2@h/x'}",
        "user_hash_secret: {hunter2: hunter2}\nredis: !hunter2 x",
        "user_hash_secret: *hunter2",
        "keys: hunter2hunter2",
        "keys: [hunter2hunter2]",
        "models: {a: {deployments: [hunter2]}}",
        "models: {a: hunter2}",
        "auth: ${SECRET}",
        "ledger: {durability: '${SECRET}'}",
        "server: {listen: '${SECRET}'}",
    ],
)
def test_no_error_shows_a_secret(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, tmp_path, {"SECRET": "hunter2"})
    shown = str(caught.value) + repr(caught.value.problems)
    assert "hunter2" not in shown.replace("user_hash_secret.hunter2", "")


def test_settings_do_not_show_secrets_when_printed(tmp_path: Path) -> None:
    text = """
    redis: redis://:hunter2@h
    user_hash_secret: hunter2
    ledger: {url: 'postgresql://u:hunter2@h/x'}
    keys: [{name: a, key: hunter2hunter2}]
    models: {a: {deployments: [{provider: openai, api_key: hunter2}]}}
    """
    assert "hunter2" not in repr(load(text, tmp_path))


def test_words_that_old_yaml_takes_for_switches_stay_words(tmp_path: Path) -> None:
    assert load("tags: {market: [no, yes, on, 12:30, 2026-01-02]}", tmp_path).tags["market"] == ["no", "yes", "on", "12:30", "2026-01-02"]


def test_a_number_where_text_is_needed_asks_for_quotes(tmp_path: Path) -> None:
    assert problems("tags: {campaign: [27]}", tmp_path)["tags.campaign[0]"] == (1, 19, "must be text; write the value in quotes; it is 27")


def test_a_section_whose_lines_are_all_commented_out_means_the_defaults(tmp_path: Path) -> None:
    assert load("server:\nkeys:\nmodels:\ntags:\nledger: {url: }\n", tmp_path) == Settings()


def test_an_alias_without_deployments_is_not_silently_dropped(tmp_path: Path) -> None:
    assert problems("models: {a: }", tmp_path)["models.a"][0] == 1


def test_a_structure_among_params_is_one_problem_that_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as found:
        load("models: {a: {deployments: [{provider: vertex_ai, params: {vertex_credentials: {type: service_account}}}]}}", tmp_path)
    assert len(found.value.problems) == 1
    assert "models.a.deployments[0].params.vertex_credentials: must be text" in str(found.value)


def test_anchors_and_merges_work_and_endless_ones_are_refused(tmp_path: Path) -> None:
    text = "models:\n  a: &a {quality: 0.5, deployments: [{provider: openai}]}\n  b: {<<: *a, quality: 0.7}\n"
    settings = load(text, tmp_path)
    assert (settings.models["b"].quality, settings.models["b"].deployments) == (0.7, settings.models["a"].deployments)
    assert "contains itself" in problems("tags: &t {a: *t}", tmp_path)[""][2]
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    assert "too large" in problems(bomb, tmp_path)[""][2]


@pytest.mark.parametrize("text", ["a: [1", "- a\n- b", "just words", "a: 1\n---\nb: 2", "? [x]\n: 1", "[" * 3000, "a:\tb: c"])
def test_a_file_that_is_no_mapping_is_one_clear_problem(text: str, tmp_path: Path) -> None:
    assert len(problems(text, tmp_path)) == 1


def test_a_file_that_is_not_text_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    for content in (b"\xff\xfe\x00", b"a: \x00"):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match="UTF-8"):
            load_settings(file, {})


@given(st.text(max_size=80))
def test_any_text_loads_or_is_refused_with_a_place(text: str) -> None:
    try:
        read_yaml(text, "x")
        found = 1
    except ConfigError as error:
        found = len(error.problems)
    assert found == 1


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("server: {listen: nowhere}", "server.listen", "host:port"),
        ("server: {listen: '127.0.0.1:99999'}", "server.listen", "65535"),
        ("server: {base_path: llm/}", "server.base_path", "begins with"),
        ("server: {cors: {origins: ['https://a.example/x']}}", "server.cors.origins[0]", "origin"),
        ("admin: {listen: '127.0.0.1:8080'}", "admin.listen", "another port"),
        ("upstream: api.openai.com", "upstream", "https://"),
        ("ledger: {url: grammage.db}", "ledger.url", "sqlite:///"),
        ("redis: 'localhost:6379'", "redis", "redis://"),
        ("keys: [{name: a, key: 12345678a, brands: [acme]}]", "keys[0].brands", "viewer"),
        ("keys: [{name: a, key: 12345678a}, {name: a, key: 12345678b}]", "keys[1].name", "unique"),
        ("keys: [{name: a, key: 12345678a}, {name: b, key: 12345678a}]", "keys[1].key", "same secret"),
        (
            "models: {a: {deployments: [{provider: openai}]}}\nkeys: [{name: k, key: 12345678a, models: [b]}]",
            "keys[0].models[0]",
            "no alias",
        ),
        ("models: {'g*t': {deployments: [{provider: openai}]}}", "models.g*t", "at the end"),
        ("models: {'g t': {deployments: [{provider: openai}]}}", "models.g t", "no spaces"),
        ("models: {a: {deployments: [{provider: opnai}]}}", "models.a.deployments[0].provider", "did you mean `openai`"),
        ("models: {a: {deployments: [{provider: azure}]}}", "models.a.deployments[0].provider", "add api_base"),
        ("models: {a: {deployments: [{provider: openai, weight: 0}]}}", "models.a.deployments", "weight 0"),
        (
            "models: {a: {deployments: [{provider: openai, weight: 0}, {provider: mistral, order: 1}]}}",
            "models.a.deployments",
            "all of order 0",
        ),
        ("models: {a: {deployments: [{provider: openai}], retry: {on: []}}}", "models.a.retry.on", "attempts: 1"),
        ("models: {a: {deployments: [{provider: openai}], retry: {attempts: 11}}}", "models.a.retry.attempts", "at most 10"),
        ("models: {a: {deployments: [{provider: openai, api_version: x}]}}", "models.a.deployments[0].api_version", "azure"),
        ("models: {a: {deployments: [{provider: simulated, door: litellm}]}}", "models.a.deployments[0].door", "simulated"),
        ("models: {a: {deployments: [{provider: simulated, dialects: [gemini]}]}}", "models.a.deployments[0].dialects", "simulated"),
        ("models: {a: {deployments: [{provider: openai, door: wire, params: {a: 1}}]}}", "models.a.deployments[0].params", "LiteLLM"),
        ("models: {a: {deployments: [{provider: cohere, door: wire}]}}", "models.a.deployments[0].door", "dialects"),
        ("tags: {Campaign: [x]}", "tags.Campaign", "lower-case"),
        ("tags: {a-b: [x], a_b: [x]}", "tags.a_b", "same metric label"),
        ("tags: {a: [x, x]}", "tags.a[1]", "twice"),
        ("tags: {a: [other]}", "tags.a[0]", "metrics use"),
        ("tags: {a: ['']}", "tags.a[0]", "1 to 128"),
        ("keys: [{name: k, key: 12345678a, tags: {brand: 'a\\x01'}}]", "keys[0].tags.brand", "printable"),
    ],
)
def test_what_cannot_work_together_is_refused(text: str, key: str, words: str, tmp_path: Path) -> None:
    assert words in problems(text.replace("'a\\x01'", '"a\\x01"'), tmp_path)[key][2]


@pytest.mark.parametrize(
    "deployment",
    [
        "provider: anthropic",
        "provider: aws-bedrock, params: {aws_region_name: eu-west-3}",
        "provider: replicate, door: litellm, model: x/y",
    ],
)
def test_what_is_translated_or_has_a_public_address_of_its_own_dialect_needs_none(deployment: str, tmp_path: Path) -> None:
    assert load(f"models: {{a: {{deployments: [{{{deployment}}}]}}}}", tmp_path).models["a"].deployments


def test_a_deployment_with_its_own_address_may_have_any_provider(tmp_path: Path) -> None:
    text = "models: {a: {deployments: [{provider: inhouse, api_base: 'http://10.0.0.3:8000/v1'}]}}"
    assert load(text, tmp_path).models["a"].deployments[0].provider == "inhouse"


@pytest.mark.parametrize(
    ("pattern", "name", "same"), [("*", "x", True), ("gpt-*", "gpt-4o", True), ("gpt-*", "o3", False), ("a", "ab", False)]
)
def test_alias_patterns(pattern: str, name: str, same: bool) -> None:
    assert matches(pattern, name) is same


PROVIDER_KEY = "models: {a: {deployments: [{provider: openai, api_key: k}]}}\n"
PARAMS = "models: {a: {deployments: [{provider: watsonx, params: {zen_api_key: k}}]}}\n"


@pytest.mark.parametrize(
    ("text", "workers", "words"),
    [
        (PROVIDER_KEY + "server: {listen: '0.0.0.0:8080'}", 1, "anyone could spend them"),
        (PROVIDER_KEY + "server: {listen: ':8080'}", 1, "anyone could spend them"),
        (PARAMS + "server: {listen: ':8080'}", 1, "anyone could spend them"),
        (PROVIDER_KEY + "server: {listen: ':8080'}\nauth: open", 1, None),
        (PROVIDER_KEY + "server: {listen: ':8080'}\nkeys: [{name: a, key: 12345678}]", 1, None),
        (PROVIDER_KEY + "server: {listen: ':8080'}\nauth: keys", 1, None),
        (PROVIDER_KEY + "server: {listen: ':8080'}\nauth: passthrough", 1, "grammage keys create"),
        (PROVIDER_KEY, 1, None),
        ("server: {listen: ':8080'}", 1, None),
        ("version: 1", 2, None),
        ("budgets: [{name: b, match: {campaign: c}, limit_kgco2e: 1, period: month, on_exceed: warn}]", 2, "share budgets"),
        ("keys: [{name: a, key: '12345678', requests_per_minute: 5}]", 2, "share rate limits of keys"),
        ("policies: [{name: p, when: {alias: a}, apply: {reuse: 24h}, mode: enforce}]", 2, "share answers kept for reuse"),
        ("keys: [{name: a, key: '12345678', requests_per_minute: 5}]\nredis: redis://h", 2, None),
        ("upstream: http://localhost:8080/v1", 1, "this proxy itself"),
        ("upstream: http://localhost:8081/v1", 1, None),
        ("models: {a: {deployments: [{provider: x, api_base: 'http://127.0.0.1:8080/v1'}]}}", 1, "a points at"),
    ],
)
def test_start_refusals(text: str, workers: int, words: str | None, tmp_path: Path) -> None:
    settings = load(text.replace("key: 12345678}", "key: '12345678'}"), tmp_path)
    server = settings.server.model_copy(update={"workers": workers})
    refusals = start_refusals(settings.model_copy(update={"server": server}))
    assert [words in text for text in refusals] == [True] * len(refusals) if words else not refusals
    assert bool(refusals) is bool(words)


@pytest.mark.parametrize(
    ("text", "expected"), [("[::1]:80", ("::1", 80)), (":0", ("0.0.0.0", 0)), ("proxy.local:8080", ("proxy.local", 8080))]
)
def test_listen_addresses(text: str, expected: tuple[str, int]) -> None:
    assert parse_listen(text) == expected


def test_only_addresses_of_this_machine_are_loopback() -> None:
    assert [is_loopback(host) for host in ("127.8.0.1", "::1", "localhost", "0.0.0.0", "10.0.0.1", "evil.localhost.example")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert points_at("http://[::1]:80/v1", ("0.0.0.0", 80))
    assert not points_at("https://api.openai.com/v1", ("0.0.0.0", 443))


def test_the_starter_configuration_loads_without_any_variable_and_its_comments_are_valid_too(tmp_path: Path) -> None:
    text = starter_text("./s.json")
    assert text.startswith("# yaml-language-server: $schema=./s.json\n")
    assert "*" in load(text, tmp_path).models
    secret = tmp_path / "admin"
    secret.write_text("x" * 8)
    (tmp_path / "visuals").mkdir()
    (tmp_path / "memory.csv").write_text("source,target,market\nHello,Bonjour,fr\n")
    uncommented = re.sub(r"(?m)^( *)#(?=\S| +[a-z_-]+:|  +- )", r"\1", text.split("version:", 1)[1])
    keys = {"STUDIO_KEY": "s" * 8, "AGENCY_KEY": "y" * 8, "VIEWER_KEY": "v" * 8}
    environ = {**keys, "AZURE_KEY": "a", "OPENAI_API_KEY": "o", "USER_HASH_SECRET": "u"}
    settings = load("version:" + uncommented.replace("/run/secrets/grammage-admin", str(secret)), tmp_path, environ)
    assert {"small", "sim-*", "*"} == set(settings.models)
    assert (len(settings.keys), settings.redis is None, settings.admin.listen) == (4, False, "127.0.0.1:9090")


def test_the_starter_configuration_shows_every_setting() -> None:
    schema = json_schema()
    named = {*schema["properties"], *(key for part in schema["$defs"].values() for key in part["properties"])}
    assert not sorted(name for name in named if not re.search(rf"\b{name}:", starter_text("x")))


def test_the_schema_accepts_what_the_loader_accepts_and_refuses_unknown_keys(tmp_path: Path) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(json.loads(json.dumps(schema)))
    validator.validate(yaml.safe_load(starter_text("x")))
    validator.validate({"version": 1, "server": None, "ledger": {"queue_calls": "${N}", "durability": "${D:-commit}"}})
    for wrong in ({"server": {"lisen": ":1"}}, {"ledger": {"queue_calls": "many"}}, {"version": 2}):
        assert not validator.is_valid(wrong)


def test_every_setting_says_what_it_means() -> None:
    schema = json_schema()
    unsaid = [
        f"{name}.{key}" for name, part in schema["$defs"].items() for key, value in part["properties"].items() if "description" not in value
    ]
    assert not unsaid
    assert all("description" in value for value in schema["properties"].values())


def test_series_are_counted_by_tag_combination_alias_and_zone() -> None:
    settings = Settings(tags={"brand": ["a", "b"], "market": ["fr"]})
    one = expected_series(settings, [("m", "openai", "US")])
    two = expected_series(settings, [("m", "openai", "US"), ("m", "azure", "SE")])
    assert one.tag_combinations == 4 * 3
    assert two.footprint - one.footprint == 12 * SERIES_PER_TAGGED_PLACE
    assert not two.folds
    assert expected_series(Settings(tags={"campaign": [f"c{n}" for n in range(MOST_SERIES)]})).folds


def test_stated_machines_are_read_and_what_cannot_be_is_refused_at_its_line(tmp_path: Path) -> None:
    deployment = "models:\n  a:\n    deployments:\n      - provider: openai\n"
    settings = load(
        deployment + "        hardware: {gpu: h100, gpus: 8, precision: fp8, batch: 64}\n        operating_prior: low_traffic", tmp_path
    )
    (only,) = settings.models["a"].deployments
    assert only.hardware is not None
    assert only.hardware.model_dump() == {"gpu": "h100", "gpus": 8, "precision": "fp8", "batch": 64.0, "attention_data_parallel": None}
    assert only.operating_prior == "low_traffic"
    assert load(deployment + "        hardware:", tmp_path).models["a"].deployments[0].hardware is None
    found = problems(deployment + "        hardware:\n          gpuss: h100\n          gpus: 0\n          batch: 0.5", tmp_path)
    assert {key.rpartition(".")[2]: message for key, (_, _, message) in found.items()} == {
        "gpuss": "unknown key; did you mean `gpus`?",
        "gpus": "must be at least 1; it is 0",
        "batch": "must be at least 1; it is 0.5",
    }
    assert [line for line, _, _ in found.values()] == [6, 7, 8]
