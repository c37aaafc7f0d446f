"""What the answer of a call under way carries of ours: headers, and a member of its usage. It must never weigh anything."""

from estimators.estimate import Estimate
from proxy.passage import Passage
from proxy.settle import spent_before
from proxy.tag import (
    Figures,
    call_header,
    deployment_headers,
    escalated_header,
    footprint_headers,
    footprint_member,
    reused_headers,
    reused_member,
)
from proxy.upstream.base import Headers


def first_headers(passage: Passage) -> Headers:
    """Those of every answer: its call, and why a larger model was asked. An answer that was made for another call has its figures too."""
    headers = [call_header(passage.call_id)]
    if passage.escalated:
        headers.append(escalated_header(passage.escalated))
    if passage.instead is not None:
        headers += reused_headers(passage.instead, spent_before(passage), passage.decision.policy, passage.decision.altered)
    return headers


def weighed_headers(passage: Passage, estimate: Estimate, figures: Figures, basis: bytes) -> Headers:
    """The figures of the whole call: `basis` is final or forecast."""
    return [*footprint_headers(estimate, figures, basis), *served_headers(passage)]


def served_headers(passage: Passage) -> tuple[tuple[bytes, bytes], ...]:
    """Who serves it and where, by which policy; the model is assumed while the answer has not said it."""
    decision = passage.decision
    return deployment_headers(passage.candidate, passage.weighed_model, passage.served_model is None, decision.policy, decision.altered)


def member_of(passage: Passage, estimate: Estimate | None, figures: Figures | None, compat: tuple[str, ...]) -> bytes | None:
    """The footprint as a member of usage. estimate, figures: the whole call's, None for an answer that was made for another one."""
    if passage.instead is not None:
        return reused_member(passage.instead, spent_before(passage), passage.call_id, compat)
    if estimate is None or figures is None:
        return None
    return footprint_member(estimate, figures, passage.call_id, compat)
