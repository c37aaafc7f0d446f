"""Lists the variables that narrow a dashboard, each with the query that gives its values. It must never hold a text."""

from collections.abc import Mapping
from types import MappingProxyType

DATASOURCE = "datasource"
ALL = ".*"
"""Matches absent labels too: an installation without the tag `brand` still sees all its series."""

QUERIES: Mapping[str, str] = MappingProxyType(
    {
        "job": "label_values(grammage_build_info, job)",
        "brand": 'label_values(grammage_output_tokens_total{job=~"$job"}, brand)',
        "campaign": 'label_values(grammage_output_tokens_total{job=~"$job"}, campaign)',
        "model": 'label_values(grammage_output_tokens_total{job=~"$job"}, model)',
        "zone": 'label_values(grammage_energy_joules_total{job=~"$job"}, zone)',
        "policy": 'label_values(grammage_policy_decisions_total{job=~"$job"}, policy)',
    }
)
FOOTPRINT = ("job", "brand", "campaign", "model", "zone")
