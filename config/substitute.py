"""`${VAR}`, `${VAR:-default}`, `$${` and `file:/path` in configuration values. It must never show what a variable or a file holds."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.problem import Finding, KeyPath

MOST_SECRET_BYTES = 65_536
_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_FILE = re.compile(r"file:(?://)?(/.+)", re.DOTALL)


@dataclass(slots=True)
class Filled:
    """Values with every reference replaced, the paths that came from elsewhere, and what could not be replaced."""

    value: object = None
    replaced: set[KeyPath] = field(default_factory=set)
    faults: list[Finding] = field(default_factory=list)


def fill(value: object, environ: Mapping[str, str], read: Callable[[Path], bytes] = Path.read_bytes) -> Filled:
    """`value` with its references replaced. What cannot be replaced stays as written and is a fault; an empty result is None."""
    filled = Filled()
    filled.value = _walk(value, (), _Sources(environ, read, filled))
    return filled


@dataclass(frozen=True, slots=True)
class _Sources:
    environ: Mapping[str, str]
    read: Callable[[Path], bytes]
    filled: Filled

    def blame(self, path: KeyPath, message: str) -> None:
        self.filled.faults.append(Finding(path=path, message=message))


def _walk(value: object, path: KeyPath, sources: _Sources) -> object:
    if isinstance(value, dict):
        return {key: _walk(item, (*path, key), sources) for key, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, (*path, index), sources) for index, item in enumerate(value)]
    if isinstance(value, str):
        return _text(value, path, sources)
    return value


def _text(text: str, path: KeyPath, sources: _Sources) -> str | None:
    known = len(sources.filled.faults)
    filled = _REFERENCE.sub(lambda found: _variable(found, path, sources), text) if "${" in text else text
    if len(sources.filled.faults) > known:
        return text
    named = _FILE.fullmatch(filled)
    if named:
        sources.filled.replaced.add(path)
        return _file(Path(named[1]), path, sources) or text
    if filled != text:
        sources.filled.replaced.add(path)
        return filled or None
    return text


def _variable(found: re.Match[str], path: KeyPath, sources: _Sources) -> str:
    if found[0] == "$${":
        return "${"
    inside = _INSIDE.fullmatch(found[1])
    if inside is None or not found[0].endswith("}") or "${" in found[1]:
        sources.blame(path, "a reference is written ${NAME} or ${NAME:-default}; a plain `${` is written `$${`")
        return ""
    name, default = inside[1], inside[2]
    value = sources.environ.get(name, "")
    if value:
        return value
    if default is not None:
        return str(default)
    state = "empty" if name in sources.environ else "not set"
    sources.blame(path, f"environment variable {name} is {state}; set it, or write ${{{name}:-default}}")
    return ""


def _file(path: Path, key: KeyPath, sources: _Sources) -> str | None:
    try:
        held = sources.read(path)
        text = held.decode()
    except OSError as error:
        sources.blame(key, f"file {path} cannot be read: {error.strerror or 'input error'}")
    except UnicodeDecodeError:
        sources.blame(key, f"file {path} is not UTF-8 text")
    else:
        text = text.rstrip("\r\n")
        if text and len(held) <= MOST_SECRET_BYTES:
            return text
        sources.blame(key, f"file {path} is empty" if not text else f"file {path} is larger than {MOST_SECRET_BYTES} bytes")
    return None
