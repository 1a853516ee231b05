"""Passwords, as columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pii_guard.detectors.value_words import FLAG, MISSING, TIME
from pii_guard.engine.detection import ColumnRule
from pii_guard.engine.whole_values import matching
from pii_guard.model import Kind

__all__ = ["Password"]

# what is known about a password but is none
ABOUT = frozenset(
    "is has yn flag changed change chg updated update upd modified modify expired expire expires expiry exp date dt at "
    "time day days count cnt fail failed failure error err try attempts policy rule length len min max type status "
    "reset salt algorithm algo alg question hint id name nm arn version ver url "
    "암호화 변경 만료 초기화 오류 여부 질문 힌트".split()
)


class Password:
    """What it finds
        Columns headed 비밀번호, password, pwd, pin and the like, whatever their values are, and values that have the
        form of a password hash under any header. The evidence names the scheme (bcrypt, Argon2, scrypt, PBKDF2,
        SHA-crypt, LDAP, SCRAM), an unsalted digest, or says that they are plain.
    What it must not find
        Columns about passwords (password_changed_at, pwd_fail_cnt, 비밀번호변경일), flags, points in time.
    Legal basis
        To be stored so that they cannot be decrypted (Safety Measures Standard Art. 7(1)).
    Known gaps
        Plain passwords have no shape: by header only. Whether a digest has a salt in another column is not known.
    References
        Modular crypt format and PHC strings; RFC 2307; RFC 5802; RFC 9106.
    """

    kind = Kind("password", "password", keep=(0, 0))
    headers = frozenset(
        "비밀번호 패스워드 암호 비번 핀번호 password passwd pwd pw passphrase passcode pswd userpw userpwd loginpw "
        "loginpwd "
        "passwordhash hashedpassword encryptedpassword pwhash secret pin pinno pincode".split()
    )
    column = ColumnRule(hinted=0.0, unhinted=None, sparse=False, unless=ABOUT, hashes=True)
    heads = None

    def matches(self, values: pa.Array) -> npt.NDArray[np.bool_]:
        return matching(values, r"(?s).+", MISSING, FLAG, TIME)
