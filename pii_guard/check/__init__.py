"""Check: does a scanned source keep the rules?"""

from pii_guard.check.checker import check
from pii_guard.check.places import fingerprints, placed
from pii_guard.check.results import Accepted, CheckResult, Place, Violation, exit_code, joined
from pii_guard.check.rules import RULES, Rule

__all__ = [
    "RULES",
    "Accepted",
    "CheckResult",
    "Place",
    "Rule",
    "Violation",
    "check",
    "exit_code",
    "fingerprints",
    "joined",
    "placed",
]
