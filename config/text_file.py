"""A file of the configuration as text and as a mapping. It must never guess an encoding."""

from pathlib import Path

from config.problem import ConfigError, Problem
from config.yaml_tree import Document


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
