"""Check: does a scanned source keep the rules?"""

from pii_guard.check.checker import CheckResult, Violation, check, exit_code, joined
from pii_guard.check.rules import RULES, Rule

__all__ = ["RULES", "CheckResult", "Rule", "Violation", "check", "exit_code", "joined"]
