"""Reads a file of rules for tags, or says all that is wrong with it. It must never run one."""

from pathlib import Path

from pydantic import ValidationError

from config.explain import explain
from config.problem import ConfigError, Finding, Problem, dotted
from config.retags import RetagRule, RetagRules, retag_faults
from config.text_file import read_text, top_mapping
from config.yaml_tree import REPEATED, Document, read_yaml


def load_retags(file: Path) -> list[RetagRule]:
    """The rules of `file`, in order. Raises ConfigError with every problem, each with its line."""
    name = str(file)
    document = read_yaml(read_text(file, "write one as the README shows"), name)
    content = top_mapping(document, name, "with `retag_rules:` and a list below it")
    findings = list(document.faults)
    try:
        rules = RetagRules.model_validate(content).retag_rules
    except ValidationError as error:
        findings += [explain(details, RetagRules, ()) for details in error.errors(include_url=False)]
        raise ConfigError([_problem(finding, document, name) for finding in findings]) from error
    findings += retag_faults(rules)
    if findings:
        raise ConfigError([_problem(finding, document, name) for finding in findings])
    return rules


def _problem(finding: Finding, document: Document, name: str) -> Problem:
    path = tuple(part for part in finding.path if part != REPEATED)
    spot = document.locate(finding.path, at_key=finding.at_key)
    line, column = (spot.line, spot.column) if spot else (0, 0)
    return Problem(file=name, line=line, column=column, key=dotted(path), message=finding.message)
