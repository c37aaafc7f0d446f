"""Reads the configuration file into Settings, or says everything that is wrong with it at once. It must never print a secret."""

from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import ValidationError

from config.check import find_faults
from config.explain import explain
from config.problem import ConfigError, Finding, KeyPath, Problem, dotted
from config.settings import Settings
from config.substitute import fill
from config.yaml_tree import REPEATED, Document, read_yaml

CONFIG_VARIABLE = "GRAMMAGE_CONFIG"
UPSTREAM_VARIABLE = "GRAMMAGE_UPSTREAM"
CHOSEN_NAMES = frozenset({"models", "tags"})

__all__ = ["CONFIG_VARIABLE", "UPSTREAM_VARIABLE", "ConfigError", "Problem", "config_path", "load_settings"]


def config_path(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file in force: the one given, else GRAMMAGE_CONFIG, else None (the defaults)."""
    named = environ.get(CONFIG_VARIABLE, "")
    return path if path is not None else Path(named) if named else None


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of `path`, else of GRAMMAGE_CONFIG, else the defaults; GRAMMAGE_UPSTREAM replaces `upstream`.

    Raises ConfigError with every problem of the file, in the file's order.
    """
    file = config_path(path, environ)
    name = str(file) if file is not None else "defaults"
    document = read_yaml(read_text(file, "make one with `grammage init`"), name) if file is not None else Document()
    filled = fill(top_mapping(document, name, "beginning with `version: 1`"), environ)
    content = _without_nulls(filled.value) if isinstance(filled.value, dict) else {}
    if environ.get(UPSTREAM_VARIABLE):
        content["upstream"] = environ[UPSTREAM_VARIABLE]
        filled.replaced.add(("upstream",))
        document.keys.pop(("upstream",), None)
        document.values.pop(("upstream",), None)
    settings, complaints = _judge(content, filled.replaced)
    found = [*document.faults, *filled.faults]
    blamed = {finding.path for finding in found}
    found += [finding for finding in complaints if not any(finding.path[: len(path)] == path for path in blamed)]
    if settings is None or found:
        raise ConfigError([_place(finding, document, name) for finding in found])
    return settings


def _judge(content: dict[str, object], replaced: Collection[KeyPath]) -> tuple[Settings | None, list[Finding]]:
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        return None, [explain(details, Settings, replaced) for details in error.errors(include_url=False)]
    return settings, list(find_faults(settings))


def _place(finding: Finding, document: Document, name: str) -> Problem:
    spot = document.locate(finding.path, at_key=finding.at_key)
    path = tuple(part for part in finding.path if part != REPEATED)
    if spot is None:
        file = UPSTREAM_VARIABLE if path == ("upstream",) else name
        return Problem(file=file, line=0, column=0, key=dotted(path), message=finding.message)
    return Problem(file=name, line=spot.line, column=spot.column, key=dotted(path), message=finding.message)


def _without_nulls(content: dict[str, object]) -> dict[str, object]:
    """A section whose lines are all commented out is null in YAML; it means the defaults. Names that people choose keep theirs."""
    kept: dict[str, object] = {}
    for key, value in content.items():
        if isinstance(value, dict) and key not in CHOSEN_NAMES:
            kept[key] = _without_nulls(value)
        elif value is not None:
            kept[key] = value
    return kept


def read_text(file: Path, advice: str) -> str:
    """The file as text; raises ConfigError, which ends with `advice` where there is no such file to read."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        message = f"cannot be read: {error.strerror or 'input error'}; check the path, or {advice}"
    except UnicodeDecodeError:
        message = "is not UTF-8 text; save it as UTF-8"
    raise ConfigError([Problem(file=str(file), line=0, column=0, key="", message=message)])


def top_mapping(document: Document, name: str, beginning: str) -> dict[str, object]:
    """The document as a mapping, empty when it holds nothing; raises ConfigError for anything else."""
    if document.value is None:
        return {}
    if isinstance(document.value, dict):
        return document.value
    message = f"the file must be a mapping of `name: value` lines, {beginning}"
    raise ConfigError([Problem(file=name, line=1, column=1, key="", message=message)])
