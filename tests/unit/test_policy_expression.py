"""Conditions in CEL: what they may name, what is wrong told at its line, and none that fails a call."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from config.load import ConfigError, load_settings
from config.policies import Policy, When
from estimators.usage import Usage
from proxy.call import Caller
from proxy.errors import StartError
from proxy.policy import expression
from proxy.policy.expression import VARIABLES, expression_faults
from proxy.policy.rule import CallFacts, Rules

CALL = CallFacts(
    call_id="c",
    alias="large",
    operation="chat",
    weighed_as="chat",
    path="/v1/chat/completions",
    dialect="openai",
    caller=Caller(id="studio"),
    tags=(("market", "fr"), ("stage", "draft")),
    usage=Usage(input_tokens=500, output_tokens=300, source="estimated"),
    usual=(),
    choices=2,
)


def rules(*conditions: str, heard: list[tuple[str, str]] | None = None) -> Rules:
    made = [Policy(name=f"p{number}", when=When(expr=text), mode="enforce") for number, text in enumerate(conditions)]
    return Rules(made) if heard is None else Rules(made, lambda policy, reason: heard.append((policy, reason)))


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ('tags.market in ["fr", "be"] && input_tokens < 900', True),
        ("input_tokens + output_tokens > 800", False),
        ('alias.startsWith("la") && operation == "chat" && dialect == "openai" && key == "studio"', True),
        ("choices > 1 && !stream", True),
        ("stream", False),
        ('has(tags.audience) && tags.audience == "b2b"', False),
        ('alias.matches("^(a+)+$")', False),
    ],
)
def test_a_condition_names_what_is_known_of_a_call(condition: str, holds: bool) -> None:
    assert (rules(condition).first(CALL) is not None) is holds


def test_all_that_a_condition_may_name_is_told() -> None:
    assert CALL.told().keys() == {*VARIABLES, "tags"}


def test_a_condition_that_cannot_be_told_does_not_hold_and_is_said_once() -> None:
    heard: list[tuple[str, str]] = []
    made = rules('tags.audience == "b2b"', "input_tokens / (choices - 2) > 1", heard=heard)
    for _ in range(3):
        assert made.first(CALL) is None
    assert [policy for policy, _ in heard] == ["p0", "p1"]
    assert "audience" in heard[0][1]
    found = made.first(replace(CALL, choices=3))
    assert found is not None
    assert found.named == "p1"


def test_the_condition_stands_beside_the_rest_of_when() -> None:
    made = Rules([Policy(name="p", when=When(alias=["small"], expr="true"), mode="enforce")])
    assert made.first(CALL) is None


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("tags.market in [", "Syntax error"),
        ('nope == "x"', "undeclared reference to 'nope'; what may be named: alias"),
        ("input_tokens", "must be true or false, and is of type INT"),
        ("alias > 3", "no matching overload"),
        ("(" * 5000, "is no condition"),
    ],
)
def test_a_bad_condition_is_a_fault_at_its_line(tmp_path: Path, condition: str, message: str) -> None:
    file = tmp_path / "grammage.yaml"
    quoted = condition.replace("'", "''")
    file.write_text(f"policies:\n  - name: p\n    when:\n      expr: '{quoted}'\n    apply: {{n_at_most: 1}}\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(file, {}, [expression_faults])
    (problem,) = caught.value.problems
    if len(condition) < 4096:
        assert (problem.key, problem.line) == ("policies[0].when.expr", 4)
        assert message in problem.message
        with pytest.raises(StartError, match=r"policies.p0.when.expr"):
            rules(condition)


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    expression._environment.cache_clear()
    expression._compiled.cache_clear()
    try:
        with pytest.raises(StartError, match=r"pip install 'grammage\[cel\]'"):
            rules("true")
    finally:
        expression._environment.cache_clear()


def test_the_library_is_imported_only_where_a_condition_is_written() -> None:
    code = (
        "import sys, proxy.consult; from config.policies import Policy, When; from proxy.policy.rule import Rules\n"
        "Rules([Policy(name='a')]); assert 'cel_expr_python' not in sys.modules\n"
        "Rules([Policy(name='a', when=When(expr='true'))]); assert 'cel_expr_python' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
