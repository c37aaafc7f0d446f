"""YAML text as plain values, with the line and column of each. It must never guess a type beyond the YAML 1.2 core: `no` is a word."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from config.problem import ConfigError, Finding, KeyPath, Problem

MOST_NODES = 50_000
REPEATED = "<repeated>"
"""Last part of the path under which the second occurrence of a key is kept."""

_MERGE = "<<"


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something stands in the file; both count from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """A file's values, where each key and value stood, and what was wrong on the way (repeated keys, foreign tags)."""

    value: object = None
    keys: dict[KeyPath, Spot] = field(default_factory=dict)
    values: dict[KeyPath, Spot] = field(default_factory=dict)
    faults: list[Finding] = field(default_factory=list)

    def locate(self, path: KeyPath, *, at_key: bool = False) -> Spot | None:
        """Spot of the value (or key) at `path`, else of its nearest parent that stands in the file."""
        while path:
            spot = (self.keys.get(path) or self.values.get(path)) if at_key else (self.values.get(path) or self.keys.get(path))
            if spot is not None:
                return spot
            path, at_key = path[:-1], True
        return None


class _CoreLoader(yaml.SafeLoader):
    """Resolves the YAML 1.2 core types only, so that `market: [no]` is Norway and `12:30` a text."""

    yaml_implicit_resolvers = {}


_CORE = (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
)
for _tag, _pattern, _first in _CORE:
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)

_MAKE: Mapping[str, object] = {
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:str": str,
}


def read_yaml(text: str, file: str) -> Document:
    """The document in `text`. Raises ConfigError when it is not YAML; repeated keys are faults of the document, the first one counts."""
    document = Document()
    try:
        node = _compose(text)
        if node is not None:
            document.value = _Walk(document).value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise ConfigError([Problem(file=file, line=line, column=column, key="", message=f"not valid YAML: {_reason(error)}")]) from None
    except yaml.YAMLError:
        message = "not valid YAML: it holds a character that text files do not have; save it as UTF-8"
        raise ConfigError([Problem(file=file, line=0, column=0, key="", message=message)]) from None
    except RecursionError:
        message = "nested too deeply to be a configuration"
        raise ConfigError([Problem(file=file, line=0, column=0, key="", message=message)]) from None
    return document


def _reason(error: yaml.MarkedYAMLError) -> str:
    reason = error.problem or "it cannot be read"
    if reason.startswith("found undefined alias"):  # its text quotes the value, which may be a secret
        return "`*name` refers to no anchor; write a value that begins with `*` in quotes"
    return reason


def _compose(text: str) -> yaml.Node | None:
    loader = _CoreLoader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    return node


class _Walk:
    """Turns nodes into values once, filling the document's maps."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.open: set[int] = set()
        self.nodes = 0

    def value(self, node: yaml.Node, path: KeyPath) -> object:
        """The plain value of a node; anchors that contain themselves, or multiply without end, are refused."""
        self.nodes += 1
        spot = Spot(node.start_mark.line + 1, node.start_mark.column + 1)
        self.document.values.setdefault(path, spot)
        if id(node) in self.open or self.nodes > MOST_NODES:
            raise yaml.MarkedYAMLError(None, None, "an alias contains itself, or the file is too large", node.start_mark)
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._scalar(node, path)
        finally:
            self.open.discard(id(node))

    def _scalar(self, node: yaml.Node, path: KeyPath) -> object:
        make = _MAKE.get(node.tag)
        if not callable(make):
            self.document.faults.append(
                Finding(path=path, message="a value that begins with `!` is a YAML tag, and none is used here; write it in quotes")
            )
            return str(node.value)
        value: object = make(node.value)
        return value

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(None, None, "a key must be a plain word or text", key_node.start_mark)
            if key == _MERGE and key_node.tag == "tag:yaml.org,2002:str":
                continue
            here = (*path, key)
            spot = Spot(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if key in found:
                self._repeated(here, spot)
                continue
            self.document.keys.setdefault(here, spot)
            found[key] = self.value(value_node, here)
        self._merge(node, path, found)
        return found

    def _repeated(self, here: KeyPath, spot: Spot) -> None:
        first = self.document.keys[here]
        repeated = (*here, REPEATED)
        self.document.keys[repeated] = spot
        message = f"this key is written twice, first on line {first.line}; keep one of them"
        self.document.faults.append(Finding(path=repeated, message=message, at_key=True))

    def _merge(self, node: yaml.MappingNode, path: KeyPath, found: dict[str, object]) -> None:
        for key_node, value_node in node.value:
            if key_node.value != _MERGE:
                continue
            for source in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                if not isinstance(source, yaml.MappingNode):
                    raise yaml.MarkedYAMLError(None, None, "`<<` merges a mapping only", source.start_mark)
                merged = self.value(source, path)
                if isinstance(merged, dict):
                    found.update({key: value for key, value in merged.items() if key not in found})
