"""Conditions in CEL: the door of its library, which is imported only where one is written. It must never fail a call.

A condition is checked against the types of what it may name when it is read; where it cannot be told later, it does not hold.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from config.problem import Finding
from config.settings import Settings
from proxy.errors import StartError

VARIABLES: Mapping[str, str] = {
    "alias": "STRING",
    "operation": "STRING",
    "dialect": "STRING",
    "key": "STRING",
    "input_tokens": "INT",
    "output_tokens": "INT",
    "choices": "INT",
    "stream": "BOOL",
}
"""What a condition may name, with its type, beside `tags`, a map of texts."""

LIBRARY = "cel_expr_python"
MISSING = "needs the CEL library: pip install 'grammage[cel]'"
LONGEST_REASON = 200

Tell = Callable[[str, str], None]
"""Hears of a policy whose condition could not be told, and why; once each."""


class Expression:
    """A condition, ready to be held against calls."""

    __slots__ = ("_compiled", "_named", "_tell", "failures")

    def __init__(self, text: str, named: str, tell: Tell) -> None:
        """named: the policy's name. Raises StartError for what is no condition in CEL, or without the library."""
        try:
            self._compiled = _compiled(text)
        except ValueError as error:
            raise StartError(f"policies.{named}.when.expr: {error}") from error
        self._named = named
        self._tell = tell
        self.failures = 0

    def holds(self, facts: Mapping[str, object]) -> bool:
        """True when it holds; False too when that cannot be told, such as for a tag that the call does not carry."""
        try:
            told = self._compiled.eval(data=facts).value()
        except RuntimeError as error:
            told = str(error)
        if told is True or told is False:
            return bool(told)
        self.failures += 1
        if self.failures == 1:
            self._tell(self._named, str(told)[:LONGEST_REASON])
        return False


def expression_faults(settings: Settings) -> Iterator[Finding]:
    """What is wrong with the conditions of the policies, at their places in the configuration."""
    for index, policy in enumerate(settings.policies):
        if policy.when.expr is None:
            continue
        try:
            _compiled(policy.when.expr)
        except ValueError as error:
            yield Finding(path=("policies", index, "when", "expr"), message=str(error))


@lru_cache(maxsize=1024)
def _compiled(text: str) -> Any:  # the library's own type does not pass this door
    """The condition as the library has it. Raises ValueError with what is wrong with it."""
    environment, boolean = _environment()
    try:
        found = environment.compile(text)
    except RuntimeError as error:
        raise ValueError(f"is no condition in CEL: {_said(str(error))}") from error
    if found.return_type() != boolean:
        raise ValueError(f"must be true or false, and is of type {found.return_type().name()}; compare it with something")
    return found


@lru_cache(maxsize=1)
def _environment() -> tuple[Any, Any]:
    try:
        from cel_expr_python import cel  # an optional package, wanted only where a condition is written
    except ImportError as error:
        raise ValueError(MISSING) from error
    types = {name: getattr(cel.Type, kind) for name, kind in VARIABLES.items()}
    return cel.NewEnv(variables={**types, "tags": cel.Type.Map(cel.Type.STRING, cel.Type.STRING)}), cel.Type.BOOL


def _said(message: str) -> str:
    """The library's words for people, less its own codes and picture of the text."""
    first = message.partition("\n")[0].removeprefix("INVALID_ARGUMENT: ").removeprefix("ERROR: ").removeprefix("<input>:")
    names = ", ".join((*VARIABLES, "tags"))
    known = f"; what may be named: {names}" if "undeclared reference" in first else ""
    return first.split(" expecting {")[0].replace(" (in container '')", "") + known
