"""What the ledger knows of iterations: answers of models under one policy, by two tags, on either database."""

from msgspec.structs import replace

from proxy.call import InsteadRecord
from proxy.ledger.store import Store
from tests.contract.ledgers import record
from tests.contract.test_decisions_ledger import DECISION


def test_answers_are_counted_by_asset_and_brand_and_nothing_else_is(store: Store) -> None:
    store.open_writer("commit")
    asset, branded = (("asset", "hero"),), (("asset", "hero"), ("brand", "acme"))
    store.write(
        [
            record(1, decision=DECISION, tags=asset),
            record(2, decision=DECISION, tags=(*asset, ("stage", "draft"))),
            record(3, decision=DECISION, tags=branded),
            record(4, decision=DECISION, tags=(("asset", "été"),)),
            record(5, decision=DECISION, tags=asset, outcome="upstream_error", status=500),
            record(6, decision=DECISION, tags=asset, outcome="client_left"),
            record(7, decision=DECISION, tags=asset, instead=InsteadRecord(kind="template", ref="greetings")),
            record(8, decision=replace(DECISION, policy="other"), tags=asset),
            record(9, decision=replace(DECISION, mode="shadow"), tags=asset),
            record(10, decision=DECISION, tags=(("brand", "acme"),)),
            record(11, tags=asset),
        ]
    )
    made = store.iterations().made
    assert made("drafts", "enforce", "asset", "brand") == {("hero", ""): 2, ("hero", "acme"): 1, ("été", ""): 1}
    assert made("drafts", "shadow", "asset", "brand") == {("hero", ""): 1}
    assert made("drafts", "enforce", "campaign", "brand") == {}
