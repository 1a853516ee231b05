"""What all tests share.

Laws are tried on `PII_GUARD_EXAMPLES` times as many examples where that variable is set, and on others with each seed:
`PII_GUARD_EXAMPLES=20 pytest -m hypothesis --hypothesis-seed=1`.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine breaks no law
settings.register_profile("default", UNTIMED, print_blob=False)
settings.register_profile("ci", UNTIMED, database=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    factor = int(os.environ.get("PII_GUARD_EXAMPLES", "1"))
    functions = {item.obj for item in items if isinstance(item, pytest.Function)}
    for law in filter(is_hypothesis_test, functions):  # not by a profile: the settings of a law override it
        own = law._hypothesis_internal_use_settings
        law._hypothesis_internal_use_settings = settings(own, max_examples=own.max_examples * factor)
