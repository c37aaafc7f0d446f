"""Turns what a call consumed into what it weighs. It must never read a clock, a file, a socket, or draw a random number."""

from estimators.choose import METHODS, prepare
from estimators.estimate import Estimate
from estimators.prepared import Prepared
from estimators.usage import Usage

__all__ = ["METHODS", "Estimate", "Prepared", "Usage", "prepare"]
