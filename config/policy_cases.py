"""The grammar of cases that policies are tested by. It must never judge one."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from config.explain import explain
from config.policies import OperationName
from config.problem import ConfigError, Finding, Problem, dotted
from config.section import Section
from config.text_file import read_text, top_mapping
from config.yaml_tree import Document, read_yaml

MOST_GCO2E_PER_KWH = 2000.0
"""No grid has more."""


class CaseCall(Section):
    """A call as it would come."""

    alias: str = Field(min_length=1, description="The model as the caller writes it.")
    operation: OperationName = Field(default="chat", description="What kind of call it is.")
    tags: dict[str, str] = Field(default={}, description="The tags that it carries.")
    input_tokens: int | None = Field(default=None, ge=0, description="Length of its prompt; null: a short one.")
    output_tokens: int | None = Field(default=None, ge=0, description="Length of its answer; null: the usual one, within its own limit.")
    body: dict[str, Any] = Field(default={}, description="Further fields of the request, such as max_tokens, n, size.")
    key: str | None = Field(default=None, description="Name of the key of `keys:` that it comes with; null: any that may call.")
    live: dict[str, Annotated[float, Field(gt=0, le=MOST_GCO2E_PER_KWH)]] = Field(
        default={}, description="What live sources tell of grid zones, in gCO2e/kWh, such as {FR: 21}; empty: nothing."
    )
    answer: dict[str, Any] | None = Field(
        default=None, description="What who is asked first answers, whole, as its API has it: whether a larger model is asked then."
    )
    policy: str | None = Field(default=None, description="The caller's x-grammage-policy header: off, or a policy's name.")
    id: str = Field(default="case", min_length=1, description="Its call id, which draws for `holdback`.")


class Expected(Section):
    """What is to come of it; what is left out is not looked at."""

    policy: str | None = Field(default=None, description="What the header x-grammage-policy says, such as drafts, none or shadow:drafts.")
    action: Literal["none", "routed", "kept", "passthrough", "refused", "holdback"] | None = Field(
        default=None, description="What the policy makes of it; none: no policy is for it."
    )
    reason: str | None = Field(default=None, description="Why it is not more, such as not_lower.")
    provider: str | None = Field(default=None, description="Who is asked first.")
    model: str | None = Field(default=None, description="For which of its models.")
    region: str | None = Field(default=None, description="Where.")
    escalated: Literal["none", "invalid_json", "refused", "truncated", "empty", "must_match"] | None = Field(
        default=None, description="What `answer` falls short of, so that a larger model is asked; in shadow, would be."
    )
    altered: list[str] | None = Field(default=None, description="What is altered in the request, such as [max_tokens].")
    reuses: bool | None = Field(default=None, description="Whether an answer to an identical call may serve it, under `apply.reuse`.")
    alternative: str | None = Field(
        default=None, description="What is offered or run before a model, such as `offer template:cards`, or none; not whether it can."
    )
    iterations: int | None = Field(default=None, ge=0, description="How many answers the policy allows for what is made; 0: not counted.")
    budgets: list[str] | None = Field(default=None, description="Names of the budgets that count the call.")


class Case(Section):
    name: str = Field(min_length=1, description="What the case says.")
    call: CaseCall = Field(description="The call.")
    expect: Expected = Field(description="What is to come of it.")


class Cases(Section):
    """A file of cases."""

    config: str | None = Field(default=None, description="The configuration to test, relative to this file; null: the one in force.")
    cases: list[Case] = Field(min_length=1, description="The cases.")


def load_cases(file: Path) -> Cases:
    """The cases of `file`. Raises ConfigError with every problem and its place."""
    name = str(file)
    document = read_yaml(read_text(file, "name another file"), name)
    content = top_mapping(document, name, "with `cases:` and a list below it")
    try:
        cases, findings = Cases.model_validate(content), list(document.faults)
    except ValidationError as error:
        cases = None
        findings = [*document.faults, *(explain(details, Cases, ()) for details in error.errors(include_url=False))]
    if cases is None or findings:
        raise ConfigError([_problem(finding, document, name) for finding in findings])
    return cases


def _problem(finding: Finding, document: Document, name: str) -> Problem:
    spot = document.locate(finding.path, at_key=finding.at_key)
    line, column = (spot.line, spot.column) if spot else (0, 0)
    return Problem(file=name, line=line, column=column, key=dotted(finding.path), message=finding.message)
