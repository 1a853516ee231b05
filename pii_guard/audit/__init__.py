"""Access records: who opened which personal data, when, from where, for what (docs/FORMAT.md, Access record)."""

from pii_guard.audit.chain import Head, read_heads, records, verify
from pii_guard.audit.log import Access, AccessLog, AccessRequest, os_account

__all__ = ["Access", "AccessLog", "AccessRequest", "Head", "os_account", "read_heads", "records", "verify"]
