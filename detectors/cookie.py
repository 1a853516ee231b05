"""Cookies and identifiers of sessions and devices, as columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pii_guard.detectors.value_words import TIME, URL
from pii_guard.engine.detection import ColumnRule
from pii_guard.engine.whole_values import matching
from pii_guard.model import Kind

__all__ = ["Cookie"]

OPAQUE = r"[A-Za-z0-9+/=_.%:~-]{16,}|[0-9]{15}"
COOKIES = r"[A-Za-z0-9_.-]+=[^;,\s]{4,}(?:; ?[A-Za-z0-9_.-]+=[^;,\s]*)*;?"
WORDS = r"[^0-9]+"
SERIES = r"[0-9]{16,19}"
"""Keys that a database or a clock counted: 64 bits and no more."""
# a session of a conference, a cookie of a shop
ABOUT = frozenset(
    "type status name nm count cnt time date dt at start end duration consent policy yn flag os model vendor version "
    "title room speaker talk expires expiry 시작 종료 시간 일시 동의 여부 횟수".split()
)


class Cookie:
    """What it finds
        Columns headed cookie, session_id, sid, device_id, adid, idfa, 쿠키, 세션아이디 and the like, 60 % of whose
        values are opaque identifiers of 16 characters or more (UUIDs, hexadecimal, base64, IMEI) or `name=value`
        cookies.
    What it must not find
        Columns about sessions and cookies (session_type, cookie_consent), words, times, addresses of pages, plain
        numbers of a series.
    Legal basis
        Personal data together with what else is kept about a visitor (PIPA Art. 2; guidelines on behavioural data).
    Known gaps
        By header only. A device may be a machine that nobody carries.
    References
        RFC 6265 (cookies); advertising identifiers of Android and iOS; 3GPP TS 23.003 (IMEI).
    """

    kind = Kind("cookie", "cookie, session or device identifier", keep=(0, 0))
    headers = frozenset(
        "쿠키 쿠키값 세션 세션값 세션아이디 세션id 기기식별자 단말식별자 기기아이디 단말기아이디 디바이스아이디 "
        "광고식별자 광고id "
        "cookie cookies cookieid session sessionid sessid sid jsessionid phpsessid sessionkey sessiontoken deviceid "
        "devid deviceuuid devicetoken pushtoken fcmtoken adid gaid idfa idfv ssaid androidid advertisingid udid "
        "imei clientid visitorid browserid".split()
    )
    column = ColumnRule(hinted=0.6, unhinted=None, sparse=False, unless=ABOUT, opaque=True)
    heads = None

    def matches(self, values: pa.Array) -> npt.NDArray[np.bool_]:
        return matching(values, f"{OPAQUE}|{COOKIES}", WORDS, SERIES, TIME, URL)
