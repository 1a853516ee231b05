"""Errors of MariaDB and MySQL, and of PyMySQL, in words of ours.

https://mariadb.com/kb/en/mariadb-error-code-reference/, https://dev.mysql.com/doc/mysql-errors/8.0/en/
"""

from __future__ import annotations

import pymysql

from pii_guard.connectors.failures import LOST, Failure

__all__ = ["DENIED", "ERRORS", "TOO_LONG", "failure"]

ERRORS = (pymysql.MySQLError, OSError)
"""What statements raise."""

DENIED = frozenset({1142, 1143})
"""Codes of missing rights on a table, or on some of its columns."""
TOO_LONG = 1406

_LOST = frozenset({0, 1053, 1927, 2006, 2013, 2014, 2055})
"""Servers that are gone, or end connections."""
_CONFLICTS = frozenset({1099, 1205, 1213, 3572})
_REASONS = {
    **dict.fromkeys((1021, 1026), "the disk of the server is full"),
    **dict.fromkeys((1044, 1142, 1227), "permission denied"),
    1048: "a column that must have a value has none",
    1050: "a table of this name was made meanwhile",
    1054: "there is no such column",
    1059: "a name is longer than the server takes",
    1060: "two columns have one name, or names that differ in case alone",
    1062: "a key occurs twice, or is in the table already",
    1064: "a mistake in the SQL",
    1103: "the server takes no such name of a table",
    1114: "the table, or the disk of the server, is full",
    1143: "permission denied for some of its columns",
    1146: "there is no such table, or no more",
    1153: "a row is larger than the server takes at once (max_allowed_packet)",
    1166: "the server takes no such name of a column",
    **dict.fromkeys((1099, 1205, 3572), "locked by another session"),
    1213: "it and another session waited for each other",
    1264: "a number is too large for its column",
    **dict.fromkeys((1265, 1366), "a value is none of the type of its column"),
    **dict.fromkeys((1290, 1792, 1836), "the server takes no writes (read only)"),
    1267: "texts that cannot be compared, or a name with characters that the server has none with",
    1292: "a date or time that its column does not keep",
    1317: "it was ended by an administrator",
    1356: "a view of something that is gone, or that its owner may not read",
    TOO_LONG: "a value is too long for its column",
    1451: "a foreign key is broken: rows of other tables refer to its rows",
    1452: "a foreign key is broken: rows refer to rows that are not there",
    **dict.fromkeys((1969, 3024), "it took longer than the statement timeout of the server"),
    **dict.fromkeys((3819, 4025), "a check constraint is broken"),
}


def failure(error: Exception) -> Failure:
    """What one of ERRORS says."""
    code = error.args[0] if error.args and isinstance(error, pymysql.MySQLError) else 0
    if code in _LOST:
        return Failure(code, LOST, lost=True)
    return Failure(code, _REASONS.get(code, f"the server refused it (code {code})"), conflict=code in _CONFLICTS)
