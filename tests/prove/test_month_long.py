"""The long proof of the policies: a simulated month of 200,000 calls against its optimum. `make prove` runs it.

It must never be part of `make test`.
"""

import pytest

from proxy.cli.output import Format
from tests.month.__main__ import CALLS, DRAWS, SEED, show
from tests.month.arms import FAMILIES
from tests.month.proof import prove

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]
BEYOND_ANYBODY = {"gpt-4.1": "95th percentile"}
"""What is not held to its goal: the sizes of these models are inferred, within a factor of three each way. Over 4,000 draws it is 11 % for
the example's policies, and 12 % for the optimum that does not know the draw; over the 500 of this seed 9 %."""


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_month_under_the_example_policies_reaches_its_goals(family: str) -> None:
    found = prove(calls=CALLS, draws=DRAWS, seed=SEED, family=family)
    show(found, Format.TABLE, CALLS, DRAWS)
    missed = [goal.what for goal in found.goals() if not goal.is_met]
    allowed = BEYOND_ANYBODY.get(family)
    assert [what for what in missed if allowed is None or allowed not in what] == []
