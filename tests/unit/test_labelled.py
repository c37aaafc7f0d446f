"""Labelled calls: what is wrong is told with row and column, sums keep shared doubt, advice takes the best step first."""

import math

import pytest

from config.problem import ConfigError
from estimators.quantity import LogVariance, Quantity, ScopeKeys
from proxy.labelled.advise import advise
from proxy.labelled.rows import read_rows
from proxy.labelled.ways import Part, Served, mixed, oracle, way_of

HEAD = "alias,input_tokens,tag.stage,small.score,small.output_tokens,large.score,large.output_tokens"
GOOD = "large,500,draft,0.8,300,0.9,280"


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_rows(text, "set.csv")
    return [str(problem) for problem in caught.value.problems]


def served(alias: str, grams: float, score: float, *, model: str = "m", doubt: float = 0.0) -> Served:
    quantity = Quantity(grams * math.exp(-doubt / 2), LogVariance(model=doubt))
    return Served(alias=alias, parts=(Part(gco2e=quantity, keys=ScopeKeys("tokens", "azure", model, "FR"), water_ml=1.0),), score=score)


def test_rows_are_read_with_notes_tags_and_lengths_of_their_own() -> None:
    (row,) = read_rows(f"# made up\n{HEAD},small.input_tokens\n{GOOD},520\n\n", "set.csv")
    assert (row.line, row.alias, row.operation, row.input_tokens, dict(row.tags)) == (3, "large", "chat", 500, {"stage": "draft"})
    assert (row.answers["small"].input_tokens, row.answers["small"].output_tokens) == (520, 300)
    assert (row.answers["large"].input_tokens, row.answers["large"].score) == (500, 0.9)
    assert row.answers["small"].shortcoming is None


def test_a_prompt_stands_for_its_length_and_an_alias_may_have_dots() -> None:
    text = 'alias,prompt,gpt-4.1.score,gpt-4.1.output_tokens,gpt-4.1.shortcoming\nlarge,"four, or five",1,9,truncated\n'
    (row,) = read_rows(text, "set.csv")
    assert row.input_tokens == 4
    assert row.answers["gpt-4.1"].shortcoming == "truncated"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD}\n{GOOD.replace('0.8', 'good')}", "set.csv:2:4: small.score: 'good' is not a number from 0 to 1"),
        (f"{HEAD}\n{GOOD.replace('0.9', '9')}", "set.csv:2:6: large.score: '9' is not a number from 0 to 1"),
        (f"{HEAD}\n{GOOD.replace('0.9', 'nan')}", "set.csv:2:6: large.score: 'nan' is not a number from 0 to 1"),
        (f"{HEAD}\n{GOOD.replace('500', '-5')}", "set.csv:2:2: input_tokens: '-5' is not a whole number of tokens >= 0"),
        (f"{HEAD}\n{GOOD.replace('300', '')}", "set.csv:2:5: small.output_tokens: is empty; write a whole number of tokens >= 0"),
        (f"{HEAD}\n{GOOD},9", "set.csv:2:0: has 8 cells, the heading 7; quote cells that hold a comma"),
        (f"{HEAD}\n,{GOOD.partition(',')[2]}", "set.csv:2:1: alias: is empty; write the model that the caller asks for"),
        (f"{HEAD}\n", "set.csv:1:0: holds no rows; write one line for each call"),
        (f"{HEAD.replace('small.output', 'small.outptu')}\n{GOOD}", "did you mean `small.output_tokens`?"),
        (f"{HEAD.replace('alias', 'alas')}\n{GOOD}", "did you mean `alias`?"),
        (f"{HEAD.replace('large.output_tokens', 'small.score')}\n{GOOD}", "small.score: stands twice in the heading"),
        ("alias,input_tokens\nlarge,5", "no model has a score"),
        (f"{HEAD},operation\n{GOOD},chatt", "operation: 'chatt' is no kind of call"),
        (f"{HEAD},small.shortcoming\n{GOOD},short", "small.shortcoming: 'short' is unknown; write empty, invalid_json, refused, truncated"),
    ],
)
def test_what_is_wrong_is_told_with_line_and_column(text: str, said: str) -> None:
    assert any(said in fault for fault in faults(text)), faults(text)


def test_all_that_is_wrong_is_told_at_once() -> None:
    found = faults(f"{HEAD}\n{GOOD.replace('0.8', 'x')}\n{GOOD}\n{GOOD.replace('0.9', 'y')}")
    assert [fault.split(": ")[0] for fault in found] == ["set.csv:2:4", "set.csv:4:6"]


def test_a_sum_keeps_the_doubt_that_its_calls_share() -> None:
    many = [served("large", 1.0, 0.9, doubt=0.25)] * 50
    way = way_of("always large", many, many)
    one = many[0].parts[0].gco2e
    assert way.gco2e == pytest.approx(50)
    assert way.gco2e_low / way.gco2e == pytest.approx(one.p5 / one.mean)
    assert way.gco2e_high / way.gco2e == pytest.approx(one.p95 / one.mean)
    assert way.quality == pytest.approx(0.9)
    assert (way.change, way.change_low, way.change_high, way.water_ml) == (0, 0, 0, 50)


def test_change_is_told_with_the_doubt_that_so_few_calls_leave() -> None:
    large = [served("large", 1.0, score) for score in (0.9, 0.8, 0.9, 0.8)]
    small = [served("small", 0.1, score) for score in (0.8, 0.9, 0.7, 0.7)]
    way = way_of("always small", small, large)
    assert way.change == pytest.approx(-0.075)
    assert way.change_low < way.change < way.change_high
    assert way.change_high > 0


def test_a_refused_call_has_no_score_and_an_escalated_one_weighs_both() -> None:
    large = [served("large", 1.0, 0.9)] * 3
    both = Served(alias="large", parts=(*served("small", 0.1, 0.2).parts, *large[0].parts), score=0.9, is_moved=True)
    way = way_of("policies", [Served(alias="", parts=(), score=0.0), both, large[0]], large)
    assert (way.refused, way.escalated, way.moved) == (1, 1, 1)
    assert way.gco2e == pytest.approx(2.1)
    assert way.quality == pytest.approx(0.9)


def test_mixing_at_random_lies_on_the_line_between() -> None:
    large = [served("large", 1.0, 0.9)] * 2
    small = [served("small", 0.2, 0.7)] * 2
    ways = [way_of(name, rows, large) for name, rows in (("small", small), ("large", large))]
    share, grams = mixed(ways[0], ways[1], 0.75)
    assert share == pytest.approx(0.25)
    assert grams == pytest.approx(0.25 * 2.0 + 0.75 * 0.4)
    assert mixed(ways[0], ways[1], 2.0) == pytest.approx((1.0, 2.0))
    assert mixed(ways[1], ways[1], 0.9)[0] == 0.0


def test_the_oracle_takes_the_lightest_that_is_as_good() -> None:
    rows = [
        {"large": served("large", 1.0, 0.9), "small": served("small", 0.1, 0.9)},
        {"large": served("large", 1.0, 0.9), "small": served("small", 0.1, 0.85)},
    ]
    assert [each.alias for each in oracle(rows, "large", 0.0)] == ["small", "large"]
    assert [each.alias for each in oracle(rows, "large", 0.06)] == ["small", "small"]


def test_advice_spends_quality_where_it_lowers_most_grams() -> None:
    heavy = {"large": served("large", 10.0, 0.9), "small": served("small", 1.0, 0.88)}
    light = {"large": served("large", 1.0, 0.9), "small": served("small", 0.1, 0.88)}
    free = {"large": served("large", 1.0, 0.9), "small": served("small", 0.5, 0.95)}
    groups = [("heavy",), ("light",), ("free",)]
    found = {each.group[0]: each for each in advise(groups, [heavy, light, free], "large", 0.0)}
    assert {name: each.alias for name, each in found.items()} == {"heavy": "small", "light": "small", "free": "small"}
    without = {each.group[0]: each.alias for each in advise(groups[:2], [heavy, light], "large", 0.012)}
    assert without == {"heavy": "small", "light": "large"}
    assert found["heavy"].gco2e_before == pytest.approx(10)
    assert found["heavy"].change == pytest.approx(-0.02)
    kept = advise(groups[:2], [heavy, light], "large", 0.0)
    assert [each.alias for each in kept] == ["large", "large"]
