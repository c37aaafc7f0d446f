"""What policies said of calls, in the ledger: written once, read back whole, on either database, and absent for all other calls."""

from msgspec.structs import replace

from estimators.quantity import LogVariance, Quantity
from proxy.call import DecisionRecord
from proxy.ledger.store import Store
from proxy.web.decision import shown_decision
from tests.sample_records import CALL_ID, call

DECISION = DecisionRecord(
    policy="drafts",
    mode="enforce",
    action="routed",
    reason="",
    shared="method,provider,zone",
    baseline_provider="azure",
    baseline_model="gpt-4o",
    baseline_region="eastus",
    baseline_zone="US-MIDA-PJM",
    baseline_gco2e=Quantity(0.4, LogVariance(method=0.1, provider=0.2, model=0.3, zone=0.1, call=0.2)),
    choice_provider="azure",
    choice_model="gpt-4o-mini",
    choice_region=None,
    choice_zone="SE-SE3",
    choice_gco2e=Quantity(0.01, LogVariance(method=0.1, provider=0.2, model=0.2, zone=0.05, call=0.2)),
)


def test_a_decision_is_written_once_and_read_back_whole(store: Store) -> None:
    store.open_writer("commit")
    record = call(decision=DECISION)
    store.write([record])
    store.write([record])
    found = store.find(CALL_ID)
    assert found is not None
    row = found["decision"]
    assert isinstance(row, dict)
    assert {name: row[name] for name in ("policy", "action", "choice_region", "choice_model")} == {
        "policy": "drafts",
        "action": "routed",
        "choice_region": None,
        "choice_model": "gpt-4o-mini",
    }
    assert (row["baseline_gco2e_p50"], row["choice_gco2e_var_zone"]) == (0.4, 0.05)
    assert DECISION.baseline_gco2e is not None
    assert row["baseline_gco2e"] == DECISION.baseline_gco2e.mean


def test_a_call_without_policy_has_no_decision(store: Store) -> None:
    store.open_writer("commit")
    store.write([call()])
    found = store.find(CALL_ID)
    assert found is not None
    assert found["decision"] is None
    assert shown_decision(None) is None


def test_a_refusal_that_only_was_watched_has_no_choice(store: Store) -> None:
    store.open_writer("commit")
    nobody = dict.fromkeys(("choice_provider", "choice_model", "choice_region", "choice_zone", "choice_gco2e"))
    store.write([call(decision=replace(DECISION, mode="shadow", action="refused", reason="no_candidate", **nobody))])
    found = store.find(CALL_ID)
    assert found is not None
    row = found["decision"]
    assert isinstance(row, dict)
    shown = shown_decision(row)
    assert shown is not None
    assert (shown["reason"], shown["choice"], shown["difference"], shown["baseline"]["model"]) == ("no_candidate", None, None, "gpt-4o")
