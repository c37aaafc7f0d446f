"""Draws one panel with Grafana's builders. It must never hold a text or a query of its own."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, text, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

from deploy.grafana.phrases import Phrases
from deploy.grafana.spec import Kind, Panel
from deploy.grafana.variables import DATASOURCE

SOURCE = kinds.DataSourceRef(type_val="prometheus", uid=f"${{{DATASOURCE}}}")
CALM, WARNING, ALARM = "blue", "orange", "red"
"""Colours below and from the limits on; none of them praises."""

KEPT = "${datasource:queryparam}&${job:queryparam}&${__url_time_range}"
"""What a link carries along."""

Drawn = stat.Panel | timeseries.Panel | bargauge.Panel | table.Panel


def uid_of(board: str, language: str) -> str:
    """The stable uid of a dashboard."""
    return f"grammage-{board}-{language}"


def drawn(panel: Panel, phrases: Phrases) -> Drawn | text.Panel:
    """The builder of one panel, placed by its width and height."""
    title, description = phrases.titled("panels", panel.key)
    if panel.kind == "text":
        words = text.Panel().title(title).description(description).mode(TextMode.MARKDOWN).content(phrases.phrase("texts", panel.words))
        return words.span(panel.width).height(panel.height)
    made = _KINDS[panel.kind](panel, phrases)
    made.title(title).description(description).datasource(SOURCE).span(panel.width).height(panel.height)
    if panel.kind != "table":
        made.unit(panel.units[0])
    if panel.most is not None:
        made.min(0).max(panel.most)
    if panel.yes_no:
        made.mappings([_yes_no(phrases)])
    made.thresholds(_thresholds(panel.limits))
    return _asking(made, panel, phrases)


def _asking(made: Drawn, panel: Panel, phrases: Phrases) -> Drawn:
    over_time = panel.kind in ("line", "stacked", "band")
    for place, query in enumerate(panel.queries):
        asked = prometheus.Dataquery().expr(query.expr).ref_id(chr(ord("A") + place)).datasource(SOURCE)
        asked.legend_format(phrases.legend(query.name))
        asked = asked.range() if over_time else asked.instant()
        if panel.kind == "table":
            asked.format(PromQueryFormat.TABLE)
        if query.exemplars:
            asked.exemplar(True)
        made.with_target(asked)
    return made


def _stat(panel: Panel, phrases: Phrases) -> Drawn:
    made = stat.Panel().color_mode(kinds.BigValueColorMode.VALUE).graph_mode(kinds.BigValueGraphMode.NONE)
    many = len(panel.queries) > 1 or "{{" in panel.queries[0].name
    return made.text_mode(kinds.BigValueTextMode.VALUE_AND_NAME if many else kinds.BigValueTextMode.VALUE).reduce_options(_last())


def _bars(panel: Panel, phrases: Phrases) -> Drawn:
    made = bargauge.Panel().orientation(kinds.VizOrientation.HORIZONTAL).display_mode(kinds.BarGaugeDisplayMode.BASIC)
    return made.value_mode(kinds.BarGaugeValueMode.TEXT).reduce_options(_last()).min(0)


def _line(panel: Panel, phrases: Phrases) -> timeseries.Panel:
    made = timeseries.Panel().fill_opacity(0).line_width(1).min(0).show_points(kinds.VisibilityMode.NEVER)
    made.legend(
        common.VizLegendOptions().show_legend(True).placement(kinds.LegendPlacement.BOTTOM).display_mode(kinds.LegendDisplayMode.LIST)
    )
    made.tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
    if panel.limits is not None:
        made.thresholds_style(common.GraphThresholdsStyleConfig().mode(kinds.GraphThresholdsStyleMode.DASHED))
    if panel.link:
        made.data_links([build.DashboardLink(phrases.word("show_models")).url(_address(panel, phrases, f"${{__field.labels.{panel.by}}}"))])
    return made


def _stacked(panel: Panel, phrases: Phrases) -> Drawn:
    return _line(panel, phrases).fill_opacity(30).stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A"))


def _band(panel: Panel, phrases: Phrases) -> Drawn:
    low, high = phrases.word("low"), phrases.word("high")
    edge = [_property("custom.lineWidth", 0), _property("color", {"mode": "fixed", "fixedColor": CALM})]
    filled = [*edge, _property("custom.fillBelowTo", low), _property("custom.fillOpacity", 20)]
    return _line(panel, phrases).override_by_name(high, filled).override_by_name(low, edge)


def _table(panel: Panel, phrases: Phrases) -> Drawn:
    """One row a value of `by`, one column a query."""
    columns = [phrases.word(query.name) for query in panel.queries]
    names = {f"Value #{chr(ord('A') + place)}": name for place, name in enumerate(columns)}
    heading = phrases.word(panel.by)
    made = table.Panel().show_header(True).cell_height(kinds.TableCellHeight.SM)
    made.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    order = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": {panel.by: heading, **names}}
    made.with_transformation(model.DataTransformerConfig(id_val="organize", options=order))
    for name, unit in zip(columns, panel.units, strict=True):
        made.override_by_name(name, [_property("unit", unit)])
    if panel.link:
        link = {"title": phrases.word("show_models"), "url": _address(panel, phrases, "${__value.raw}")}
        made.override_by_name(heading, [_property("links", [link])])
    return made.sort_by([common.TableSortByFieldState().display_name(columns[min(1, len(columns) - 1)]).desc(True)])


_KINDS: Mapping[Kind, Callable[[Panel, Phrases], Drawn]] = MappingProxyType(
    {"stat": _stat, "bars": _bars, "line": _line, "stacked": _stacked, "band": _band, "table": _table}
)


def _address(panel: Panel, phrases: Phrases, chosen: str) -> str:
    return f"/d/{uid_of(panel.link, phrases.language)}?var-{panel.by}={chosen}&{KEPT}"


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def _property(name: str, setting: object) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val=name, value=setting)


def _yes_no(phrases: Phrases) -> model.ValueMap:
    answers = ((1, "yes", CALM), (0, "no", ALARM))
    options = {str(number): model.ValueMappingResult(text=phrases.word(word), color=colour) for number, word, colour in answers}
    return model.ValueMap(options=options)


def _thresholds(limits: tuple[float, float] | None) -> build.ThresholdsConfig:
    steps = [model.Threshold(value=None, color=CALM)]
    if limits is not None:
        warning, alarm = limits
        steps += [model.Threshold(value=warning, color=WARNING)] if warning < alarm else []
        steps.append(model.Threshold(value=alarm, color=ALARM))
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
