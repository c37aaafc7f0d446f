"""The short twin of the long proof of the ledger: the same month with few calls, and its sums against a recount."""

from pathlib import Path

from tests.contract.ledger_load import WAYS, figures, measure, month

CALLS = 4_000


def test_a_month_written_by_the_writer_is_summed_as_a_recount_has_it(bare_url: str, tmp_path: Path) -> None:
    seen = measure(bare_url, tmp_path, CALLS)
    for way, report in zip(WAYS, seen.reports, strict=True):
        exact = figures(month(bare_url, way, exact=True))
        quick = figures(report)
        assert quick.keys() == exact.keys()
        for name, (calls, grams) in quick.items():
            wanted = exact[name][1]
            assert calls == exact[name][0]
            assert grams is not None
            assert wanted is not None
            pairs = ((grams.mean, wanted.mean), (grams.p5, wanted.p5), (grams.p95, wanted.p95))
            assert all(abs(one - other) <= 1e-9 * other for one, other in pairs), name
    assert seen.reports[0].whole.calls == CALLS
