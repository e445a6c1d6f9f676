"""Reputation: when a tenant's own bounces and complaints pause its sending, before AWS would.

rule.py says how much is too much, stream.py judges a stream of outcomes by it, maturity.py knows how late
complaints come, windows.py keeps where each tenant's stream stands, judging.py warns and pauses in the
transaction that stores the evidence.
"""

from __future__ import annotations

from core.reputation import brake
from core.reputation.evidence import Evidence
from core.reputation.judging import PAUSED, WARNING, Verdict, judge, lock, look_again_due
from core.reputation.levels import Levels, levels_of, own_levels, set_levels
from core.reputation.maturity import learn_due
from core.reputation.rule import SIMULATOR_DOMAIN, Limits, Rule, Signal, limits, rule_of, wilson_lower_bound
from core.reputation.stream import Finding, Stream

__all__ = [
    "PAUSED",
    "SIMULATOR_DOMAIN",
    "WARNING",
    "Evidence",
    "Finding",
    "Levels",
    "Limits",
    "Rule",
    "Signal",
    "Stream",
    "Verdict",
    "brake",
    "judge",
    "learn_due",
    "levels_of",
    "limits",
    "lock",
    "look_again_due",
    "own_levels",
    "rule_of",
    "set_levels",
    "wilson_lower_bound",
]
