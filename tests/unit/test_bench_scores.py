"""The bench: each score against figures worked out by hand, equal weight per cell, and columns that stay hidden."""

import math
from collections.abc import Sequence

import pytest

from estimators.bench.cells import groups, judged, weights
from estimators.bench.judge import Sitting, ask, sittings
from estimators.bench.protocol import HIDDEN, KINDS, SETTINGS, VISIBLE, AdapterError, Kind, Prediction, Setting, VisibleRow, prediction_of
from estimators.bench.read import BenchDataError, MeasuredRow, read_rows
from estimators.bench.scores import quantile, score

HEADER = (
    "row_id,dataset,task,model,family,total_params_b,active_params_b,precision,gpu,num_gpus,max_batch,avg_batch,output_tokens_mean,"
    "j_per_output_token,j_per_request,avg_power_w,output_tok_per_s,median_itl_ms,source"
)


def row(joules: float = 1.0, **cells: str) -> MeasuredRow:
    columns = {"model": "a/m", "task": "chat", "family": "a", "gpu": "H100", "num_gpus": "1", "precision": "bfloat16", "avg_batch": "32"}
    return MeasuredRow(kind="llm", file="f.csv", line=2, joules=joules, columns=columns | cells)


def point(joules: float) -> Prediction:
    return Prediction(p50=joules, mean=joules)


def ranged(low: float, p50: float, high: float) -> Prediction:
    return Prediction(p50=p50, mean=p50, low=low, high=high)


def line(**cells: str) -> str:
    default = {
        "row_id": "L1",
        "dataset": "mlenergy-v3",
        "task": "chat",
        "model": "a/m",
        "family": "a",
        "total_params_b": "8",
        "active_params_b": "8",
        "precision": "bfloat16",
        "gpu": "H100",
        "num_gpus": "1",
        "avg_batch": "32",
        "output_tokens_mean": "500",
        "j_per_output_token": "0.5",
        "j_per_request": "250",
        "avg_power_w": "400",
        "output_tok_per_s": "800",
        "median_itl_ms": "20",
        "source": "s",
    }
    return ",".join((default | cells).get(name, "") for name in HEADER.split(","))


def read(*lines: str) -> list[MeasuredRow]:
    return read_rows("llm", "\n".join((HEADER, *lines)), "f.csv")


def test_the_errors_of_three_cells_are_what_one_gets_by_hand() -> None:
    rows = [row(1.0, model="x"), row(1.0, model="y"), row(4.0, model="z")]
    found = score(rows, [point(2.0), point(0.5), point(3.0)])
    assert found.mdape_percent == pytest.approx(50.0)  # 100 %, 50 %, 25 %
    assert found.median_factor == pytest.approx(2.0)  # x2, x2, x1.33
    assert found.p90_factor == pytest.approx(2.0)
    assert found.bias_factor == pytest.approx(math.exp((math.log(2) + math.log(0.5) + math.log(0.75)) / 3))
    assert found.portfolio_bias_factor == pytest.approx(5.5 / 6.0)
    assert (found.rows, found.cells, found.answered_ratio) == (3, 3, 1.0)


def test_the_portfolio_is_summed_by_expected_values_and_the_error_by_medians() -> None:
    found = score([row(1.0)], [Prediction(p50=1.0, mean=1.5)])
    assert found.mdape_percent == pytest.approx(0.0)
    assert found.portfolio_bias_factor == pytest.approx(1.5)


def test_a_long_sweep_counts_as_much_as_a_single_row() -> None:
    sweep = [row(1.0, model="x", avg_batch=str(batch)) for batch in range(1, 10)]
    rows = [*sweep, row(1.0, model="y")]
    assert weights(rows) == pytest.approx([1 / 9] * 9 + [1.0])
    found = score(rows, [point(4.0)] * 9 + [point(1.0)])
    assert found.bias_factor == pytest.approx(2.0)  # one cell x4, one cell x1
    assert found.cells == 2


@pytest.mark.parametrize("column", ["model", "task", "gpu", "num_gpus", "precision", "dataset"])
def test_rows_that_differ_in_one_of_these_are_cells_of_their_own(column: str) -> None:
    assert weights([row(), row(1.0, **{column: "9"})]) == [1.0, 1.0]


@pytest.mark.parametrize("column", ["avg_batch", "max_batch", "family", "tp"])
def test_rows_that_differ_in_anything_else_share_their_cell(column: str) -> None:
    assert weights([row(), row(1.0, **{column: "9"})]) == [0.5, 0.5]


def test_a_weighted_quantile_is_the_ordinary_median_when_weights_are_equal() -> None:
    assert quantile([(3.0, 1.0), (1.0, 1.0), (2.0, 1.0)], 0.5) == 2.0
    assert quantile([(4.0, 1.0), (1.0, 1.0), (2.0, 1.0), (3.0, 1.0)], 0.5) == 2.5
    assert quantile([(1.0, 1.0), (2.0, 3.0)], 0.5) == 2.0
    assert quantile([(1.0, 0.1)] * 9 + [(7.0, 0.2)], 0.9) == 7.0


def test_coverage_is_weighed_by_cell_and_the_worst_family_named() -> None:
    rows = [
        row(1.0, model="x", family="a"),
        row(1.0, model="x", family="a"),
        row(1.0, model="y", family="b"),
        row(1.0, model="z", family="b"),
    ]
    found = score(rows, [ranged(0.5, 1, 2), ranged(1.5, 2, 3), ranged(0.5, 1, 2), ranged(0.9, 1, 1.1)])
    assert found.coverage_ratio == pytest.approx((0.5 + 0 + 1 + 1) / 3)
    assert found.worst_family == "a"
    assert found.worst_family_coverage_ratio == pytest.approx(0.5)
    assert found.median_high_over_low == pytest.approx(3.0)  # 1.2 (1), 2 (0.5) hold half the weight; half way to 4


def test_the_interval_score_is_width_plus_twenty_times_the_miss_on_the_logarithm() -> None:
    inside = score([row(1.0)], [ranged(0.5, 1.0, 2.0)])
    below = score([row(1.0)], [ranged(2.0, 3.0, 4.0)])
    above = score([row(1.0)], [ranged(0.125, 0.25, 0.5)])
    assert inside.interval_score == pytest.approx(math.log(4))
    assert below.interval_score == pytest.approx(math.log(2) + 20 * math.log(2))
    assert above.interval_score == pytest.approx(math.log(4) + 20 * math.log(2))


def test_a_declined_row_costs_answers_and_not_accuracy() -> None:
    found = score([row(1.0, model="x"), row(1.0, model="y")], [None, point(1.0)])
    assert (found.answered_ratio, found.mdape_percent, found.ranged_ratio, found.coverage_ratio) == (0.5, 0.0, 0.0, None)
    nothing = score([row()], [None])
    assert (nothing.answered_ratio, nothing.mdape_percent, nothing.cells) == (0.0, None, 0)


def test_hidden_columns_are_in_no_view_of_any_kind() -> None:
    assert set(VISIBLE) == {(kind, setting) for kind in KINDS for setting in SETTINGS}
    for columns in VISIBLE.values():
        assert not HIDDEN.intersection(columns)


class _Curious:
    """An adapter that reads one column of every row."""

    name = "curious"

    def __init__(self, column: str) -> None:
        self._column = column

    def enters(self, kind: Kind, setting: Setting) -> bool:
        return True

    def predict(self, rows: Sequence[VisibleRow], *, kind: Kind, setting: Setting) -> list[Prediction | None]:
        return [point(float(each[self._column])) for each in rows]


@pytest.mark.parametrize("column", ["j_per_output_token", "j_per_request", "avg_power_w", "output_tok_per_s", "median_itl_ms", "row_id"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_an_estimator_that_looks_for_a_hidden_column_finds_none(column: str, setting: Setting) -> None:
    sitting = Sitting(adapter=_Curious(column), kind="llm", setting=setting, rows=read(line()))
    with pytest.raises(KeyError, match=column):
        ask(sitting)


@pytest.mark.parametrize("column", ["gpu", "num_gpus", "tp", "ep", "dp", "precision", "max_batch", "avg_batch", "dataset"])
def test_the_deployment_is_hidden_only_when_blind(column: str) -> None:
    (found,) = read(line())
    assert column in found.visible("known")
    assert column not in found.visible("blind")


def test_a_column_that_nobody_documented_is_not_shown() -> None:
    (found,) = read_rows("llm", f"{HEADER},joules_again\n{line()},0.5", "f.csv")
    assert "joules_again" not in found.visible("known")


def test_a_documented_column_that_the_file_lacks_is_empty() -> None:
    (found,) = read(line())
    assert found.visible("known")["tp"] == ""
    assert found.visible("known")["reasoning"] == ""


def test_blind_text_is_judged_at_plausible_points_of_the_current_stack() -> None:
    kept = line(avg_batch="16")
    rows = read(
        kept, line(avg_batch="15.9"), line(avg_batch="513"), line(median_itl_ms="101"), line(dataset="mlenergy-v2"), line(median_itl_ms="")
    )
    assert [each.line for each in judged(rows, "llm", "blind")] == [2, 7]
    assert len(judged(rows, "llm", "known")) == 6


def test_a_file_without_data_sets_is_judged_whole_when_blind() -> None:
    assert len(judged(read(line(dataset="")), "llm", "blind")) == 1


def test_breakdowns_hold_every_row_once() -> None:
    rows = read(line(), line(num_gpus="8", model="b/n", family="b", total_params_b="30", active_params_b="3"))
    found = groups(rows)
    assert found["all", "all"] == [0, 1]
    assert (found["gpus", "1"], found["gpus", ">1"]) == ([0], [1])
    assert (found["arch", "dense"], found["arch", "moe"]) == ([0], [1])
    assert (found["family", "a"], found["family", "b"]) == ([0], [1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model,task\na,b", r"f\.csv:1: the column total_params_b is missing"),
        (f"{HEADER}\n{line()}\n{line(num_gpus='two')}", r"f\.csv:3:num_gpus: must be a number above 0, got 'two'"),
        (f"{HEADER}\n{line(j_per_output_token='-1')}", r"f\.csv:2:j_per_output_token: must be a number above 0"),
        (f"{HEADER}\n{line(j_per_output_token='nan')}", r"f\.csv:2:j_per_output_token: must be a number above 0"),
        (f"{HEADER}\n{line(j_per_output_token='')}", r"f\.csv:2:j_per_output_token: is empty"),
        (f"{HEADER}\n{line(model='')}", r"f\.csv:2:model: is empty"),
        (f"{HEADER}\n1,2", r"f\.csv:2: has 2 cells, the header has 19"),
        (f'{HEADER}\n"open', r"f\.csv:2: this is no CSV line"),
    ],
)
def test_a_faulty_file_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(BenchDataError, match=message):
        read_rows("llm", text, "f.csv")


def test_an_unknown_number_is_no_fault() -> None:
    (found,) = read(line(total_params_b="", output_tokens_mean=""))
    assert found.number("total_params_b") is None
    assert found.visible("blind")["arch"] == ""


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, None),
        (2, point(2.0)),
        ({"p50": 2.0}, point(2.0)),
        ({"p50": 2.0, "mean": 3.0, "low": None, "high": None}, Prediction(p50=2.0, mean=3.0)),
        ({"p50": 2.0, "low": 1, "high": 4}, ranged(1.0, 2.0, 4.0)),
    ],
)
def test_an_answer_may_be_a_number_a_range_or_nothing(answer: object, expected: Prediction | None) -> None:
    assert prediction_of(answer, 0) == expected


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("1.0", "must be a number of joules, got '1.0'"),
        (True, "must be a number of joules"),
        (0, "must be joules above 0, got 0"),
        (math.nan, "must be joules above 0, got nan"),
        (math.inf, "must be joules above 0, got inf"),
        ({}, "p50 must be a number of joules, got None"),
        ({"p50": 1.0, "low": 0.5}, "one end of a range without the other"),
        ({"p50": 5.0, "low": 1.0, "high": 4.0}, "needs low <= p50 <= high, got 1, 5, 4"),
    ],
)
def test_an_answer_that_cannot_be_judged_is_refused(answer: object, message: str) -> None:
    with pytest.raises(AdapterError, match=message) as refused:
        prediction_of(answer, 7)
    assert refused.value.row == 7


def test_every_estimator_sits_before_the_same_rows() -> None:
    rows: dict[Kind, list[MeasuredRow]] = {"llm": read(line(), line(avg_batch="4"))}
    sat = sittings([_Curious("model"), _Curious("task")], rows)
    assert [(each.kind, each.setting, len(each.rows)) for each in sat] == [
        ("llm", "known", 2),
        ("llm", "known", 2),
        ("llm", "blind", 1),
        ("llm", "blind", 1),
    ]
