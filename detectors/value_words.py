"""What stands in columns of values that are none: missing values, flags, machine-made keys, points in time."""

from __future__ import annotations

__all__ = ["FLAG", "MISSING", "OPAQUE_KEY", "TIME", "URL"]

# patterns for whole values (`pii_guard.engine.whole_values.matching`)
MISSING = (
    r"(?i)(?:null|nil|none|nan|n/?a|na|undefined|unknown|empty|todo|tbd|test|default|없음|미입력|미상|"
    r"해당 ?없음|알 ?수 ?없음|[-–—_.?!*0x]+)"
)
FLAG = r"(?i)(?:true|false|yes|no|y|n|t|f|on|off|[0-9])"
TIME = r"[0-9]{4}[-./][0-9]{1,2}[-./][0-9]{1,2}(?:[T ].*)?|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?"
URL = r"(?i)[a-z][a-z0-9+.-]*://.*"
OPAQUE_KEY = (
    r"(?i)(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{24,}|[0-9a-hjkmnp-tv-z]{26})"
)
"""UUIDs, long hexadecimal keys, ULIDs."""
