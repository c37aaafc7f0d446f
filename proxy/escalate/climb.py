"""Asks the larger model, and keeps the smaller one's answer until there is a better one. It must never send one call's answer twice."""

import logging
from dataclasses import dataclass, replace

import msgspec

from estimators.usage import Usage
from proxy.answer import LONGEST_READ_BYTES, MAY_HAVE_GENERATED, SUCCESS, weigh_answer
from proxy.clock import uuid7
from proxy.consult import asked_under, prepare_all
from proxy.endpoints.base import Ask
from proxy.errors import GrammageError
from proxy.escalate.hold import Held, hold, may_hold
from proxy.escalate.judge import Judged, judged
from proxy.headers import value_of
from proxy.meter.inflate import inflate_whole
from proxy.meter.reply import UNREADABLE, read_reply
from proxy.passage import Passage, attempt_of, close_attempt, open_attempt
from proxy.policy.candidates import Candidate
from proxy.policy.decide import Decision
from proxy.policy.escalation import Escalation
from proxy.relay import is_event_stream, weigh_relayed
from proxy.rooms import Rooms
from proxy.send import end_attempt, send_on
from proxy.settle import meter_nothing_seen, prepared_for, weigh
from proxy.splice import without_payloads
from proxy.upstream.base import UpstreamReply, WholeReply, read_whole

_log = logging.getLogger("grammage.escalate")
