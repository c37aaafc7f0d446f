"""What a policy changed, by the calls that it held back: both arms by asset, on either database, and silence where little is known."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from config.tables import load_tables
from proxy.call import CallRecord, InsteadRecord
from proxy.ledger.past import Past
from proxy.ledger.store import Store
from proxy.reports.evidence import Verdicts, evidence
from tests.contract.ledger_rows import change_ledger
from tests.contract.ledgers import STARTED_MS, open_store
from tests.contract.past_calls import Weigher, decided, settings_of
from tests.contract.test_policy_cli import grammage


@pytest.fixture(scope="module")
def weigher() -> Weigher:
    return Weigher(settings_of(), load_tables())


def month(weigher: Weigher, assets: int) -> Iterator[CallRecord]:
    """Each asset is made in two calls: the first treated; the second held back for every other asset. Small calls are the treated ones."""
    for number in range(assets):
        tags = (("asset", f"sku-{number}"), ("brand", "acme"))
        size = 200 + 10 * (number % 7)
        yield weigher.call(4 * number, "small", output_tokens=size, tags=tags, decision=decided("routed"))
        held = number % 2 == 1
        again = weigher.call(4 * number + 1, "large" if held else "small", output_tokens=size, tags=tags)
        yield replace(again, decision=decided("holdback" if held else "passthrough"))
    yield weigher.call(4 * assets, tags=(), decision=decided("holdback"))
    yield weigher.call(4 * assets + 1, tags=(), decision=decided("routed", mode="shadow"))
    yield weigher.call(4 * assets + 2, tags=(), decision=decided("routed", policy="without"))


def judge_assets(url: str, assets: int) -> None:
    """Every asset is rejected first; then all but each fifth are accepted."""
    for number in range(assets):
        for when, verdict in enumerate(("rejected", "accepted" if number % 5 else "rejected")):
            change_ledger(
                url,
                "INSERT INTO asset_verdicts VALUES (:id, :asset, NULL, NULL, :verdict, :at, 'team-a', NULL)",
                id=f"{number}-{when}",
                asset=f"sku-{number}",
                verdict=verdict,
                at=STARTED_MS + when,
            )


def grams(call: CallRecord) -> float:
    estimate = call.attempts[0].estimate
    assert estimate is not None
    return estimate.gco2e.mean


def test_both_arms_are_summed_by_asset_and_compared(store: Store, url: str, weigher: Weigher) -> None:
    store.open_writer("commit")
    calls = list(month(weigher, 100))
    store.write(calls)
    judge_assets(url, 100)
    past = Past(url)
    (found,) = evidence((call for batch in past.batches() for call in batch), Verdicts(past.verdicts()))
    past.close()
    treated, held = found.arms
    assert found.policy == "drafts"
    assert (treated.calls, treated.assets, treated.accepted, treated.rejected) == (150, 50, 40, 10)
    assert (held.calls, held.assets, held.accepted, held.rejected) == (51, 50, 40, 10)
    sums = [0.0, 0.0]
    for call in calls[:-2]:
        assert call.decision is not None
        sums[call.decision.action == "holdback"] += grams(call)
    assert (treated.gco2e, held.gco2e) == pytest.approx(sums)
    assert (treated.per_call.value, held.per_call.value) == pytest.approx((sums[0] / 150, sums[1] / 51))
    without_tag = grams(calls[-3])
    assert treated.per_accepted.value == pytest.approx(sums[0] / 40)
    assert held.per_accepted.value == pytest.approx((sums[1] - without_tag) / 40)
    for interval in (treated.per_call, held.per_accepted, found.per_call, found.per_accepted):
        assert interval.low is not None
        assert interval.value is not None
        assert interval.high is not None
        assert interval.low < interval.value < interval.high
    assert found.per_call.high is not None
    assert found.per_call.high < 0


def test_a_verdict_counts_for_the_brand_and_campaign_that_it_names(store: Store, url: str) -> None:
    for number, (brand, campaign, verdict) in enumerate(
        (("acme", None, "accepted"), ("other", None, "rejected"), (None, "noel", "rejected"))
    ):
        change_ledger(
            url,
            "INSERT INTO asset_verdicts VALUES (:id, 'sku', :brand, :campaign, :verdict, :at, 'team-a', NULL)",
            id=str(number), brand=brand, campaign=campaign, verdict=verdict, at=number,
        )  # fmt: skip
    past = Past(url)
    verdicts = Verdicts(past.verdicts())
    past.close()
    assert verdicts.of("sku", "acme", "soldes") == "accepted"
    assert verdicts.of("sku", "acme", "noel") == "rejected"
    assert verdicts.of("sku", "other", None) == "rejected"
    assert verdicts.of("sku", None, None) is None
    assert verdicts.of("none", "acme", None) is None


def test_the_command_prints_both_arms_and_says_where_too_little_is_known(tmp_path: Path, weigher: Weigher) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    store = open_store(url)
    store.open_writer("commit")
    store.write(list(month(weigher, 60)))
    store.close()
    done = grammage("policy", "evidence", "--ledger", url, "--format", "json")
    assert done.returncode == 0, done.stderr
    treated, held, gap = json.loads(done.stdout)["lines"]
    assert (treated["arm"], held["arm"], gap["arm"]) == ("treated", "held_back", "difference")
    assert gap["gco2e_per_call"] == pytest.approx(treated["gco2e_per_call"] - held["gco2e_per_call"])
    assert gap["gco2e_per_call_high"] < 0
    assert (held["accepted"], held["gco2e_per_accepted_asset"], gap["gco2e_per_accepted_asset_low"]) == (0, None, None)
    assert "drafts, held_back: 0 accepted assets are not enough" in done.stderr
    judge_assets(url, 60)
    table = grammage("policy", "evidence", "--ledger", url)
    assert "confidence interval of chance alone" in table.stdout
    assert "assets are the clusters" in table.stderr
    assert "not enough" not in table.stderr


def test_an_answer_that_was_kept_weighs_nothing_and_counts(store: Store, url: str, weigher: Weigher) -> None:
    store.open_writer("commit")
    weighed, kept = weigher.call(0, tags=(), decision=decided("routed")), weigher.call(1, tags=(), decision=decided("routed"))
    unknown = weigher.call(2, tags=(), decision=decided("routed"), attempts=())
    held = weigher.call(3, tags=(), decision=decided("holdback"))
    store.write([weighed, replace(kept, attempts=(), instead=InsteadRecord(kind="reuse")), unknown, held])
    past = Past(url)
    (found,) = evidence((call for batch in past.batches() for call in batch), Verdicts(()))
    past.close()
    assert (found.arms[0].calls, found.arms[0].unweighed) == (3, 1)
    assert found.arms[0].per_call.value == pytest.approx(grams(weighed) / 2)


def test_without_a_holdback_there_is_nothing_to_compare(tmp_path: Path, weigher: Weigher) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    store = open_store(url)
    store.open_writer("commit")
    store.write([weigher.call(0, decision=decided("routed")), weigher.call(1)])
    store.close()
    done = grammage("policy", "evidence", "--ledger", url)
    assert done.returncode == 0
    assert "held calls back" in done.stderr
