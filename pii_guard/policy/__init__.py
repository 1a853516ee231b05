"""Policy: why fields are kept, how long, and what must protect them."""

from pii_guard.policy.assignment import assign
from pii_guard.policy.models import FieldRule, Policy, Purpose, RetentionClass
from pii_guard.policy.reader import POLICY_NAME, find_policy, load, parse

__all__ = [
    "POLICY_NAME",
    "FieldRule",
    "Policy",
    "Purpose",
    "RetentionClass",
    "assign",
    "find_policy",
    "load",
    "parse",
]
