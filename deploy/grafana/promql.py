"""Writes the PromQL that panels share: filters by variable, sums over the time shown, rates, quantiles. It must never hold a text.

A tag that an installation does not declare is no label of its metrics: `=~"$campaign"` then matches as long as all is chosen.
"""

JOB = 'job=~"$job"'
MODEL = f'{JOB},model=~"$model"'
TAGGED = f'{MODEL},campaign=~"$campaign",brand=~"$brand"'
PLACED = f'{TAGGED},zone=~"$zone"'

GRAMS = "grammage_emissions_co2e_grams_total"
LOW = "grammage_emissions_co2e_low_grams_total"
HIGH = "grammage_emissions_co2e_high_grams_total"
JOULES = "grammage_energy_joules_total"
NO_CAMPAIGN = 'campaign=~"unassigned|other"'
OPERATIONAL = 'phase="operational"'
PER_HOUR = 3600
JOULES_PER_KWH = 3_600_000


def chosen(metric: str, filters: str = PLACED, more: str = "") -> str:
    """The metric's series that the variables leave."""
    return f"{metric}{{{','.join(part for part in (filters, more) if part)}}}"


def total(metric: str, filters: str = PLACED, *, by: str = "", more: str = "") -> str:
    """What came in the time shown."""
    return f"{_sum(by)}(increase({chosen(metric, filters, more)}[$__range]))"


def rate(metric: str, filters: str = PLACED, *, by: str = "", more: str = "", times: int = 1) -> str:
    """Per second, or per `times` seconds."""
    factor = "" if times == 1 else f"{times} * "
    return f"{factor}{_sum(by)}(rate({chosen(metric, filters, more)}[$__rate_interval]))"


def ratio(above: str, below: str) -> str:
    """Above over below; nothing where below is 0."""
    return f"{above} / ({below} > 0)"


def quantile(share: float, histogram: str, filters: str = JOB, by: str = "") -> str:
    """The value that this share of observations stays below."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({chosen(f'{histogram}_bucket', filters)}[$__rate_interval])))"


def _sum(by: str) -> str:
    return f"sum by ({by}) " if by else "sum"
