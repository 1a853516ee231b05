"""Whether the roles of a policy let somebody open fields for a purpose."""

from __future__ import annotations

from collections.abc import Sequence

from pii_guard.errors import did_you_mean
from pii_guard.policy.models import Policy, pattern_matches

__all__ = ["refusal", "row_budget"]


def refusal(policy: Policy, role: str | None, purpose: str, fields: Sequence[str]) -> str:
    """Why `role` may not open the logical `fields` for `purpose`; empty if it may.

    A policy without roles asks for none. A role is what the caller claims: this keeps honest code honest, as the
    purposes of a local key directory do.
    """
    if purpose not in policy.purposes:
        return f"the policy declares no purpose {purpose!r}{did_you_mean(purpose, policy.purposes)}"
    if role is None:
        return f"the policy grants access by roles; name yours: {', '.join(policy.roles)}" if policy.roles else ""
    if role not in policy.roles:
        return f"the policy declares no role {role!r}{did_you_mean(role, policy.roles)}"
    granted = policy.roles[role]
    if purpose not in granted.purposes:
        return f"the role {role!r} may open nothing for {purpose!r}; its purposes: {', '.join(granted.purposes)}"
    closed = sorted({name for name in fields if not any(pattern_matches(text, name) for text in granted.fields)})
    if closed:
        return f"the role {role!r} may not open {', '.join(closed)}; it may open: {', '.join(granted.fields)}"
    return ""


def row_budget(policy: Policy, role: str | None, asked: int | None) -> int | None:
    """How many rows one session may open: the least of what the role allows and what was asked for."""
    allowed = policy.roles[role].row_budget if role in policy.roles else None
    return min((number for number in (allowed, asked) if number is not None), default=None)
