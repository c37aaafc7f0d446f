"""The grammar of policies: in the configuration or in a file of its own, and what is wrong told at its place."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from config.load import ConfigError, load_settings, named_policies
from config.schema import json_schema, policies_schema

MODELS = "models: {large: {deployments: [{provider: openai}]}, small: {deployments: [{provider: openai}]}}\n"
GOOD = """policies:
  - name: drafts
    when: {alias: large, tags: {stage: [draft, idea]}, operation: chat}
    prefer: {among: [small]}
    apply: {max_output_tokens: 400}
"""


def write(folder: Path, text: str, policies: str | None = None) -> Path:
    file = folder / "grammage.yaml"
    file.write_text(text)
    if policies is not None:
        (folder / "policies.yaml").write_text(policies)
    return file


def problems(folder: Path, text: str, policies: str | None = None) -> dict[str, tuple[str, int, str]]:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(folder, text, policies), {})
    return {problem.key: (Path(problem.file).name, problem.line, problem.message) for problem in caught.value.problems}


def test_policies_stand_in_the_configuration_or_in_a_file_beside_it(tmp_path: Path) -> None:
    inline = load_settings(write(tmp_path, MODELS + GOOD), {}).policies
    named = load_settings(write(tmp_path, MODELS + "policies: policies.yaml", GOOD), {}).policies
    assert inline == named
    (policy,) = named
    assert (policy.when.alias, policy.when.tags) == (["large"], {"stage": ["draft", "idea"]})
    assert (policy.mode, policy.otherwise, policy.locked, policy.holdback) == ("shadow", "passthrough", False, 0)


def test_the_file_takes_variables_and_a_default_of_none(tmp_path: Path) -> None:
    file = write(tmp_path, MODELS + "policies: ${WHICH:-policies.yaml}", GOOD.replace("400", "'${MOST}'"))
    assert load_settings(file, {"MOST": "77"}).policies[0].apply.max_output_tokens == 77
    assert named_policies(file, {}) == tmp_path / "policies.yaml"
    assert named_policies(write(tmp_path, MODELS + GOOD), {}) is None
    assert load_settings(write(tmp_path, "policies:\n"), {}).policies == []


def test_what_is_wrong_in_the_file_is_told_at_its_line_there(tmp_path: Path) -> None:
    bad = GOOD.replace("when:", "whne:").replace("[small]", "[smal]")
    found = problems(tmp_path, MODELS + "policies: policies.yaml", bad)
    assert found["policies[0].whne"] == ("policies.yaml", 3, "unknown key; did you mean `when`?")
    fixed = problems(tmp_path, MODELS + "policies: policies.yaml", GOOD.replace("[small]", "[smal]"))
    assert fixed["policies[0].prefer.among"] == ("policies.yaml", 4, "`smal` is no alias of `models:`; did you mean `small`?")
    unset = problems(tmp_path, MODELS + "policies: policies.yaml", GOOD.replace("400", "'${NOPE}'"))
    assert unset["policies[0].apply.max_output_tokens"][:2] == ("policies.yaml", 5)


def test_what_is_wrong_in_the_configuration_is_told_there(tmp_path: Path) -> None:
    assert problems(tmp_path, MODELS + GOOD.replace("400", "0"))["policies[0].apply.max_output_tokens"][:2] == ("grammage.yaml", 6)
    assert "cannot be read" in problems(tmp_path, "policies: gone.yaml")[""][2]
    assert "`budgets:`" in problems(tmp_path, "policies: policies.yaml", "keys: []\n")["keys"][2]
    budget = "budgets: [{name: b, limit_kgco2e: 1}]\n"
    assert "one of the two files" in problems(tmp_path, "policies: policies.yaml\n" + budget, budget)["budgets"][2]
    assert "must be a list" in problems(tmp_path, "policies: policies.yaml", "policies: {a: 1}\n")["policies"][2]


@pytest.mark.parametrize(
    ("policy", "key", "message"),
    [
        ("{name: a}", "policies[0]", "does nothing yet"),
        ("{name: 'off', apply: {n_at_most: 1}}", "policies[0].name", "word of headers"),
        ("{name: A b, apply: {n_at_most: 1}}", "policies[0].name", ""),
        ("{name: a, apply: {n_at_most: 1}, locked: true, holdback: 0.1}", "policies[0].holdback", "locked"),
        ("{name: a, apply: {n_at_most: 1}, when: {alias: lage}}", "policies[0].when.alias", "did you mean `large`"),
        ("{name: a, apply: {reuse_any_temperature: true}}", "policies[0].apply.reuse_any_temperature", "does nothing without `reuse`"),
        ("{name: a, prefer: {among: ['la*']}}", "policies[0].prefer.among", "is a pattern"),
        ("{name: a, apply: {n_at_most: 1}, when: {tags: {'sta ge': x}}}", "policies[0].when.tags.sta ge", "a tag's name"),
        ("{name: a, apply: {n_at_most: 1}, when: {operation: chatt}}", "policies[0].when.operation[0]", "must be"),
        ("{name: a, escalate: {too: large}}", "policies[0].escalate.too", "unknown key"),
        ("{name: a, escalate: {to: lage}}", "policies[0].escalate.to", "did you mean `large`"),
        ("{name: a, escalate: {to: 'la*'}}", "policies[0].escalate.to", "is a pattern"),
        ("{name: a, escalate: {to: large, when: []}}", "policies[0].escalate", "looks at nothing"),
        ("{name: a, escalate: {to: large, when: [late]}}", "policies[0].escalate.when[0]", "'refused'"),
        ("{name: a, escalate: {to: large, must_match: '(a'}}", "policies[0].escalate.must_match", "is no regular expression: missing )"),
        ("{name: a, prefer: {lowest: prize}}", "policies[0].prefer.lowest", "'gco2e'"),
        ("{name: a, apply: {reuse: 24 hours}}", "policies[0].apply.reuse", "24h"),
        ("{name: a, apply: {image_size_at_most: large}}", "policies[0].apply.image_size_at_most", ""),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, policy: str, key: str, message: str) -> None:
    assert message in problems(tmp_path, f"{MODELS}policies: [{policy}]")[key][2]


def test_names_are_unique(tmp_path: Path) -> None:
    two = "policies: [{name: a, apply: {n_at_most: 1}}, {name: a, apply: {n_at_most: 2}}]"
    assert "name of policies[0] too" in problems(tmp_path, two)["policies[1].name"][2]


def test_both_schemas_take_what_the_loader_takes() -> None:
    whole, alone = (jsonschema.Draft202012Validator(json.loads(json.dumps(schema))) for schema in (json_schema(), policies_schema()))
    whole.validate(yaml.safe_load(MODELS + GOOD))
    whole.validate({"policies": "policies.yaml"})
    alone.validate(yaml.safe_load(GOOD))
    for wrong in ({"policies": [{"nam": "a"}]}, {"policies": [{"name": "a", "mode": "on"}]}):
        assert not whole.is_valid(wrong)
        assert not alone.is_valid(wrong)
