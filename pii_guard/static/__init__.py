"""Static: which tables and columns a repository declares before any data exists.

SQL migrations and schemas (`sql`), Alembic migrations (`alembic`), SQLAlchemy models (`models`), dbt files (`dbt`).
All are read as text, none is run or imported. `files` walks from files to a `Schema`.
"""

from pii_guard.static.files import Repository
from pii_guard.static.schema import Column, Schema, Spot

__all__ = ["Column", "Repository", "Schema", "Spot"]
