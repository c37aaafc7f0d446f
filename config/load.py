"""Reads the configuration file into Settings, or says everything that is wrong with it at once. It must never print a secret."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from config.check import find_faults
from config.check_alternatives import beside
from config.explain import explain
from config.load_policies import KEY, PolicyText, policies_file, read_policies
from config.problem import ConfigError, Finding, KeyPath, Problem, dotted
from config.settings import Settings
from config.substitute import fill
from config.text_file import read_text, top_mapping
from config.yaml_tree import REPEATED, Document, read_yaml

CONFIG_VARIABLE = "GRAMMAGE_CONFIG"
UPSTREAM_VARIABLE = "GRAMMAGE_UPSTREAM"
SettingsRule = Callable[[Settings], Iterator[Finding]]
CHOSEN_NAMES = frozenset({"models", "tags", "alternatives", "campaigns"})

__all__ = [
    "CONFIG_VARIABLE",
    "UPSTREAM_VARIABLE",
    "ConfigError",
    "Problem",
    "SettingsRule",
    "config_path",
    "load_settings",
    "named_policies",
    "read_text",
    "top_mapping",
]


def config_path(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file in force: the one given, else GRAMMAGE_CONFIG, else None (the defaults)."""
    named = environ.get(CONFIG_VARIABLE, "")
    return path if path is not None else Path(named) if named else None


def load_settings(
    path: Path | None, environ: Mapping[str, str], rules: Sequence[SettingsRule] = (), *, policies_in: Path | None = None
) -> Settings:
    """The settings of `path`, else of GRAMMAGE_CONFIG, else the defaults; GRAMMAGE_UPSTREAM replaces `upstream`.

    rules: what else must hold, which config itself cannot tell. policies_in: a file of policies that stand for those of `path`.
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
    policies = _policies(content, file, environ, policies_in)
    if file is not None and "alternatives" in content:
        content["alternatives"] = beside(content["alternatives"], file.parent)
    settings, complaints = _judge(content, filled.replaced | (policies.replaced if policies else set()), rules)
    found = [*document.faults, *filled.faults, *(policies.faults if policies else ())]
    blamed = {finding.path for finding in found}
    found += [finding for finding in complaints if not any(finding.path[: len(path)] == path for path in blamed)]
    if settings is None or found:
        raise ConfigError([_place(finding, document, name, policies) for finding in found])
    return settings


def named_policies(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file of policies that the configuration names, None where it names none or cannot be read."""
    file = config_path(path, environ)
    if file is None:
        return None
    try:
        text = read_text(file, "check the path")
        if KEY not in text:
            return None
        filled = fill(read_yaml(text, str(file)).value, environ)
    except ConfigError:
        return None
    return policies_file(filled.value.get(KEY), file) if isinstance(filled.value, dict) else None


def _policies(content: dict[str, object], file: Path | None, environ: Mapping[str, str], instead: Path | None) -> PolicyText | None:
    """Puts the policies of the file that is named in its place; None where they stand in the configuration itself."""
    named = policies_file(content.get(KEY), file) if instead is None else instead
    if named is None:
        return None
    found = read_policies(named, environ)
    content[KEY] = found.policies
    for name, value in found.beside.items():
        if content.get(name) and instead is None:
            raise ConfigError([found.twice(name)])
        content[name] = value
    return found


def _judge(
    content: dict[str, object], replaced: Collection[KeyPath], rules: Sequence[SettingsRule]
) -> tuple[Settings | None, list[Finding]]:
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        return None, list(dict.fromkeys(explain(details, Settings, replaced) for details in error.errors(include_url=False)))
    return settings, [*find_faults(settings), *(finding for rule in rules for finding in rule(settings))]


def _place(finding: Finding, document: Document, name: str, policies: PolicyText | None) -> Problem:
    if policies is not None and (finding.path[:1] == (KEY,) or finding.path[0] in policies.beside):
        document, name = policies.document, str(policies.file)
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
