"""Reads the file of policies that a configuration names. It must never look for one that is not named."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.problem import ConfigError, Finding, KeyPath, Problem
from config.substitute import fill
from config.text_file import read_text, top_mapping
from config.yaml_tree import Document, read_yaml

KEY = "policies"
BESIDE = ("budgets", "alternatives")
"""What may stand in the file of policies beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyText:
    """What a file of policies holds: its list, what stands beside it, where each value stands, and what is wrong with it so far."""

    file: Path
    document: Document
    policies: object
    beside: Mapping[str, object] = field(default_factory=dict)
    replaced: set[KeyPath] = field(default_factory=set)
    faults: tuple[Finding, ...] = ()

    def twice(self, key: str) -> Problem:
        """What is wrong with a key that stands in the configuration too."""
        spot = self.document.locate((key,), at_key=True)
        line, column = (spot.line, spot.column) if spot else (0, 0)
        message = "stands in the configuration too; keep it in one of the two files"
        return Problem(file=str(self.file), line=line, column=column, key=key, message=message)


def policies_file(value: object, beside: Path | None) -> Path | None:
    """The file that `policies:` names, relative to the configuration's folder; None for a list."""
    if not isinstance(value, str):
        return None
    return Path(value) if beside is None else beside.parent / value


def read_policies(file: Path, environ: Mapping[str, str]) -> PolicyText:
    """The policies of `file`, not yet judged. Raises ConfigError when it cannot be read or is no mapping with `policies:`."""
    name = str(file)
    document = read_yaml(read_text(file, "take `policies:` out of the configuration"), name)
    filled = fill(top_mapping(document, name, "with `policies:` and a list below it"), environ)
    content = filled.value if isinstance(filled.value, dict) else {}
    problems = [_stray(document, name, key) for key in content if key not in (KEY, *BESIDE)]
    if problems:
        raise ConfigError(problems)
    return PolicyText(
        file=file,
        document=document,
        policies=content.get(KEY) or [],
        beside={name: content[name] for name in BESIDE if content.get(name) is not None},
        replaced=filled.replaced,
        faults=(*document.faults, *filled.faults),
    )


def _stray(document: Document, name: str, key: str) -> Problem:
    spot = document.locate((key,), at_key=True)
    line, column = (spot.line, spot.column) if spot else (0, 0)
    return Problem(
        file=name,
        line=line,
        column=column,
        key=key,
        message="unknown key; this file holds `policies:`, `budgets:` and `alternatives:`",
    )
