"""Reads a scenario file, with changes from the command line, or says all that is wrong. It must never guess a missing model."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from config.explain import explain
from config.load import read_text, top_mapping
from config.problem import ConfigError, Finding, KeyPath, Problem, dotted
from config.scenario import Scenario, scenario_faults
from config.yaml_tree import REPEATED, Document, read_yaml

COMMAND_LINE = "command line"


def load_scenario(path: Path | None, changes: Mapping[str, object] | None = None) -> Scenario:
    """The scenario of `path` (None: an empty one) with `changes` on top, by dotted key, such as `images.quality`.

    Raises ConfigError with every problem: file, line, column and key, or the key and `command line` for a change.
    """
    name = str(path) if path is not None else COMMAND_LINE
    document = read_yaml(read_text(path, "write one as the README shows"), name) if path is not None else Document()
    content = top_mapping(document, name, "such as `model: gpt-4o-mini`")
    changed: dict[KeyPath, object] = {tuple(key.split(".")): value for key, value in (changes or {}).items()}
    for key, value in changed.items():
        content = _with(content, key, value)
    scenario, findings = _judge(content)
    findings = [*document.faults, *findings]
    if scenario is None or findings:
        raise ConfigError([_problem(finding, document, name, changed) for finding in findings])
    return scenario


def _with(content: Mapping[str, object], key: KeyPath, value: object) -> dict[str, object]:
    """`content` with the value at `key`, sections on the way made as needed."""
    head, *rest = (str(part) for part in key)
    inner = content.get(head)
    if rest:
        value = _with(inner if isinstance(inner, dict) else {}, tuple(rest), value)
    return {**content, head: value}


def _judge(content: Mapping[str, object]) -> tuple[Scenario | None, list[Finding]]:
    try:
        scenario = Scenario.model_validate(content)
    except ValidationError as error:
        return None, [explain(details, Scenario, ()) for details in error.errors(include_url=False)]
    return scenario, list(scenario_faults(scenario))


def _problem(finding: Finding, document: Document, name: str, changed: Mapping[KeyPath, object]) -> Problem:
    path = tuple(part for part in finding.path if part != REPEATED)
    spot = None if path in changed else document.locate(finding.path, at_key=finding.at_key)
    if spot is None:
        file = COMMAND_LINE if path in changed else name
        return Problem(file=file, line=0, column=0, key=dotted(path), message=finding.message)
    return Problem(file=name, line=spot.line, column=spot.column, key=dotted(path), message=finding.message)
