"""Login ids, as columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pii_guard.detectors.value_words import FLAG, MISSING, OPAQUE_KEY
from pii_guard.engine.detection import ColumnRule
from pii_guard.engine.whole_values import matching
from pii_guard.model import Kind

__all__ = ["LoginId"]

LETTERS = b" abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
PATTERN = r"[A-Za-z][A-Za-z0-9._-]{1,38}[A-Za-z0-9_](?:@[A-Za-z0-9-]+)?"
ROLES = (
    r"(?i)(?:admin(?:istrator)?|root|guest|system|sysadmin|superuser|operator|manager|master|postgres|mysql|"
    r"oracle|nobody|anonymous|batch|daemon|service|support|webmaster|www-data|user|id|userid|login)[0-9]?"
)
NUMBERED = r"[A-Z]{1,4}[-_]?[0-9]{3,}"
# what else is numbered, named or described in a column whose header begins like one of ids
NOT_IDS = frozenset(
    "type status state no num number bank balance level grade role group name nm holder date dt code cd count cnt "
    "manager class category plan tier amount currency open owner team 과목 유형 상태 등급 회계 은행".split()
)


class LoginId:
    """What it finds
        Columns headed 아이디, user_id, login_id, username and the like, 60 % of whose values are words of Latin letters
        and digits that a person may log in with: `gildong99`, `hong.gd`, `kakao_1234567890`.
    What it must not find
        Role accounts (admin, root, guest), missing values, plain numbers, UUIDs, long hexadecimal keys, and numbers of
        a series (`U000123`): surrogate keys name a row of a database, not a person.
    Legal basis
        Personal data (PIPA Art. 2): it singles out a person together with what the operator holds.
    Known gaps
        By header only; the values have no shape of their own. Ids in Hangul or with a digit in front; ids that are
        e-mail addresses are found as such.
    References
        Habits of Korean services; header names as in public and commercial schemas.
    """

    kind = Kind("login_id", "login id", keep=(1, 0))
    headers = frozenset(
        "아이디 회원아이디 사용자아이디 로그인아이디 접속아이디 계정 계정명 로그인계정 사용자계정 회원id 사용자id "
        "로그인id "
        "userid loginid memberid mbrid mbrsid account accountid acctid username loginname usernm uid usrid lgnid "
        "custid customerid screenname nickname 닉네임 별명".split()
    )
    column = ColumnRule(hinted=0.6, unhinted=None, sparse=False, unless=NOT_IDS)
    heads = None

    def matches(self, values: pa.Array) -> npt.NDArray[np.bool_]:
        return matching(values, PATTERN, MISSING, FLAG, ROLES, OPAQUE_KEY, NUMBERED, first=LETTERS)
