"""The dashboards as files: as generated, sound for Grafana, whole in both languages, sober in their words. No server is asked."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.boards import BOARDS
from deploy.grafana.draw import uid_of
from deploy.grafana.generate import FOLDER, files
from deploy.grafana.phrases import LANGUAGES, table
from deploy.grafana.spec import Panel
from deploy.grafana.variables import QUERIES

PROVISIONING = FOLDER.parent / "provisioning"
DOCUMENTS = dict(files())
PATHS = tuple(DOCUMENTS)
UNITS = {"massg", "joule", "watt", "s", "percentunit", "reqps", "short", "suffix: g/kWh", "suffix: x"}
NEVER = (
    r"\b(saved?|savings?|avoid(s|ed|ance)?|neutral\w*|green\w*|offset\w*"
    r"|économis\w+|évit\w+|neutre\w*|neutralité|vert(e|s|es)?|compens\w+)\b"
)
WITHOUT_QUERY = {"row", "text"}
TITLED = {"boards", "panels"}


def document(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DOCUMENTS[path])
    return found


def panels(path: str) -> list[dict[str, Any]]:
    return list(document(path)["panels"])


def asking(path: str) -> list[dict[str, Any]]:
    return [panel for panel in panels(path) if panel["type"] not in WITHOUT_QUERY]


def texts(node: Any) -> Iterator[str]:
    """Every text of a document, its keys left out."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for child in node.values():
            yield from texts(child)
    elif isinstance(node, list):
        for child in node:
            yield from texts(child)


def test_there_are_six_dashboards_in_two_languages() -> None:
    boards = {"footprint", "campaigns", "models", "grid", "operations", "quality"}
    assert set(PATHS) == {f"{language}/{board}.json" for language in ("en", "fr") for board in boards}


@pytest.mark.parametrize("path", PATHS)
def test_the_committed_dashboard_is_the_generated_one(path: str) -> None:
    assert (FOLDER / path).read_text(encoding="utf-8") == DOCUMENTS[path], "python -m deploy.grafana.generate, and read the diff"


def test_no_other_dashboard_is_committed() -> None:
    assert {file.relative_to(FOLDER).as_posix() for file in FOLDER.rglob("*.*")} == set(PATHS)


@pytest.mark.parametrize("path", PATHS)
def test_the_sdk_reads_back_what_it_wrote(path: str) -> None:
    register_default_plugins()
    again = json.dumps(Dashboard.from_json(document(path)), cls=JSONEncoder, indent=1, ensure_ascii=False)
    assert f"{again}\n" == DOCUMENTS[path]


@pytest.mark.parametrize("path", PATHS)
def test_panels_have_ids_of_their_own_and_do_not_overlap(path: str) -> None:
    shown = panels(path)
    assert len({panel["id"] for panel in shown}) == len(shown)
    places = [panel["gridPos"] for panel in shown]
    assert all(place["w"] > 0 and place["h"] > 0 and place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or apart, (one, other)


@pytest.mark.parametrize("path", PATHS)
def test_every_panel_says_what_it_shows_in_which_unit_from_the_chosen_source(path: str) -> None:
    for panel in asking(path):
        assert len(panel["title"]) > 1
        assert panel["description"].endswith(".")
        defaults = panel["fieldConfig"]["defaults"]
        units = [defaults["unit"]] if "unit" in defaults else units_of_columns(panel)
        assert units
        assert set(units) <= UNITS
        for asked in (panel, *panel["targets"]):
            assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def units_of_columns(panel: dict[str, Any]) -> list[str]:
    found = [each["value"] for override in panel["fieldConfig"]["overrides"] for each in override["properties"] if each["id"] == "unit"]
    assert len(found) == len(panel["targets"])
    return found


@pytest.mark.parametrize("path", PATHS)
def test_counters_are_asked_for_by_rate_or_increase_over_a_window_of_grafana(path: str) -> None:
    for panel in asking(path):
        for target in panel["targets"]:
            counters = len(re.findall(r"grammage_\w+_(?:total|bucket)\b", target["expr"]))
            windows = re.findall(r"(?:rate|increase)\([^()]*\{[^}]*\}\[(\$__rate_interval|\$__range)\]\)", target["expr"])
            assert len(windows) == counters, target["expr"]
            assert re.search(r"\[\d", target["expr"]) is None


@pytest.mark.parametrize("path", PATHS)
def test_every_query_is_narrowed_by_the_variables_that_the_board_has(path: str) -> None:
    made = document(path)
    names = {variable["name"] for variable in made["templating"]["list"]}
    assert {"datasource", "job"} <= names
    used = set(re.findall(r"\$(?!__)(\w+)", " ".join(target["expr"] for panel in asking(path) for target in panel["targets"])))
    assert used == names - {"datasource"}
    for panel in asking(path):
        assert all('job=~"$job"' in target["expr"] or "ALERTS" in target["expr"] for target in panel["targets"])


@pytest.mark.parametrize("path", PATHS)
def test_links_lead_to_dashboards_of_the_same_language_that_know_the_variable(path: str) -> None:
    language = path.split("/")[0]
    for address in (text for text in texts(document(path)) if text.startswith("/d/")):
        uid, variable = re.fullmatch(r"/d/([\w-]+)\?var-(\w+)=\$\{.*", address).groups()  # type: ignore[union-attr]  # fails the test
        (target,) = [made for made in map(document, PATHS) if made["uid"] == uid]
        assert uid == uid_of("models", language)
        assert variable in {each["name"] for each in target["templating"]["list"]}


def test_a_campaign_leads_to_its_models() -> None:
    for language in LANGUAGES:
        assert f"/d/grammage-models-{language}?var-campaign=" in DOCUMENTS[f"{language}/campaigns.json"]


@pytest.mark.parametrize("path", PATHS)
def test_the_ledger_is_said_to_be_the_reporting_truth(path: str) -> None:
    words = {"en": "The ledger is the reporting truth; Prometheus is for operations.", "fr": "Le registre fait foi pour les rapports"}
    contents = [panel["options"]["content"] for panel in panels(path) if panel["type"] == "text"]
    assert any(words[path.split("/")[0]] in content for content in contents)


def test_uids_are_stable_and_their_own() -> None:
    uids = [document(path)["uid"] for path in PATHS]
    assert sorted(uids) == sorted({f"grammage-{path.split('/')[1].removesuffix('.json')}-{path.split('/')[0]}" for path in PATHS})
    assert all(len(uid) <= 40 for uid in uids)


@pytest.mark.parametrize("board", [board.key for board in BOARDS])
def test_both_languages_ask_the_same(board: str) -> None:
    english, french = (
        [[target["expr"] for target in panel.get("targets", [])] for panel in panels(f"{language}/{board}.json")] for language in LANGUAGES
    )
    assert english == french


@pytest.mark.parametrize("path", PATHS)
def test_sober_words_only(path: str) -> None:
    found = [text for text in texts(document(path)) if re.search(NEVER, text, re.IGNORECASE)]
    assert not found


def test_every_phrase_is_there_in_both_languages_and_used() -> None:
    phrases = table()
    for section, keys in phrases.items():
        for key, said in keys.items():
            assert tuple(said) == LANGUAGES, key
            for words in said.values():
                assert all(text.strip() for text in ([words] if isinstance(words, str) else words)), key
                assert (isinstance(words, list) and len(words) == 2) if section in TITLED else isinstance(words, str), key
    shown = [panel for board in BOARDS for row in board.rows for panel in row.panels]
    assert set(phrases["panels"]) == {panel.key for panel in shown}
    assert set(phrases["rows"]) == {row.key for board in BOARDS for row in board.rows}
    assert set(phrases["boards"]) == {board.key for board in BOARDS}
    assert set(phrases["texts"]) == {panel.words for panel in shown if panel.words}
    assert set(phrases["variables"]) == {"datasource", *QUERIES}
    assert set(phrases["words"]) == {"yes", "no", "show_models", "other_boards"}.union(*(words_of(panel) for panel in shown))


def words_of(panel: Panel) -> set[str]:
    """Words that a panel's legends and columns take."""
    names = [query.name for query in panel.queries]
    plain = {name for name in names if "{{" not in name}
    within = {word for name in names if "{{" in name for word in re.findall(r"\[(\w+)\]", name)}
    return plain | within | ({panel.by} if panel.kind == "table" else set())


def test_descriptions_are_translated() -> None:
    same = [
        key for section in sorted(TITLED) for key, said in table()[section].items() if said["en"][1] == said["fr"][1] or not said["fr"][1]
    ]
    assert not same


def test_provisioning_names_the_folders_of_the_dashboards_and_one_source() -> None:
    providers = yaml.safe_load((PROVISIONING / "dashboards" / "grammage.yaml").read_text(encoding="utf-8"))
    assert providers["apiVersion"] == 1
    assert {Path(each["options"]["path"]).name for each in providers["providers"]} == set(LANGUAGES)
    assert all(each["type"] == "file" and each["allowUiUpdates"] is False for each in providers["providers"])
    sources = yaml.safe_load((PROVISIONING / "datasources" / "grammage.yaml").read_text(encoding="utf-8"))
    (source,) = sources["datasources"]
    assert (source["type"], source["uid"], source["access"]) == ("prometheus", "grammage-prometheus", "proxy")
    (exemplars,) = source["jsonData"]["exemplarTraceIdDestinations"]
    assert exemplars["name"] == "call_id"
    assert exemplars["url"].endswith("/v1/footprint/$${__value.raw}")
