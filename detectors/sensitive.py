"""Sensitive data in the sense of the law, as columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pii_guard.detectors.value_words import MISSING, OPAQUE_KEY, TIME, URL
from pii_guard.engine.detection import ColumnRule
from pii_guard.engine.whole_values import matching
from pii_guard.model import Kind

__all__ = ["Sensitive"]

HEALTH = (
    "병력 과거병력 가족력 병명 상병명 상병코드 진단명 진단코드 진단내용 질병 질병명 질병코드 질환 질환명 기저질환 "
    "건강상태 건강정보 "
    "건강검진결과 장애인여부 장애인등급 장애인등록 장애인유형 장애정도 투약 투약내역 처방 처방내역 복용약 수술이력 "
    "임신여부 "
    "알레르기 정신건강 diagnosis diagnosiscode disease diseasename illness icd icdcode icd10 kcd kcdcode "
    "medicalhistory "
    "medicalcondition healthinfo healthcondition disability disabilitygrade disabilitytype handicap prescription "
    "medication allergy allergies pregnancy pregnant hiv hivstatus mentalhealth"
)
CREED = "종교 종교명 종교코드 신앙 사상 신념 religion religioncode rlgn faith creed religiousbelief"
UNION = (
    "노조 노조가입여부 노동조합 노동조합가입여부 조합원여부 tradeunion laborunion labourunion unionmember "
    "unionmembership"
)
POLITICS = (
    "정당 정당명 정당가입여부 당적 정치성향 정치적견해 지지정당 politicalparty politicalview politicalviews "
    "politicalopinion politicalaffiliation"
)
SEX_LIFE = "성생활 성적지향 성적취향 sexlife sexualorientation sexualpreference"
GENETICS = "유전정보 유전자 유전자정보 유전자검사결과 genetic genetics geneticdata genome genotype dna dnaprofile"
CRIME = "범죄경력 범죄이력 전과 전과기록 전과여부 수사경력 criminalrecord criminalhistory conviction convictions"
RACE = "인종 민족 인종민족 race ethnicity ethnicgroup"
BIOMETRICS = (
    "생체정보 생체인식정보 지문 지문정보 지문템플릿 홍채 홍채정보 정맥정보 안면정보 얼굴특징정보 성문정보 biometric "
    "biometrics "
    "biometricdata biometrictemplate fingerprint fingerprinttemplate iristemplate irisscan faceembedding facetemplate "
    "facevector voiceprint"
)
# machines are healthy or out of order too, and keys have fingerprints
MACHINES = frozenset(
    "server service host node pod check probe endpoint url api job task condition ssh key cert certificate tls ssl "
    "browser file commit build sha horse track id count cnt".split()
)
LONG_NUMBER = r"[-+]?[0-9][0-9,.]{4,}"
STATUS = r"(?i)(?:up|down|ok|error|healthy|unhealthy|running|stopped|active|inactive|online|offline)"


class Sensitive:
    """What it finds
        Columns whose header names health, creed, union or party, political views, sex life, genetics, criminal records,
        race, or data that identifies by body (fingerprint, iris, face): where 60 % of the values are words, codes or
        flags; for the last group whatever the values are.
    What it must not find
        Such values in other columns; the health of machines; fingerprints of keys; identifiers, addresses of pages and
        amounts under such headers.
    Legal basis
        Sensitive information: PIPA Art. 23, Enforcement Decree Art. 18; a consent of its own or a law is needed.
    Known gaps
        By header only. 장애유형 and 장애등급 are left out: in operations they mean outages.
    References
        PIPA Art. 23(1); Enforcement Decree Art. 18 (genetics, criminal records, biometrics, race).
    """

    # codes of diseases are the most various of them: some 20,000 (KCD)
    kind = Kind("sensitive", "sensitive detail (PIPA Art. 23)", keep=(0, 0), domain=1 << 15)
    headers = frozenset(" ".join((HEALTH, CREED, UNION, POLITICS, SEX_LIFE, GENETICS, CRIME, RACE, BIOMETRICS)).split())
    column = ColumnRule(hinted=0.6, unhinted=None, sparse=False, unless=MACHINES, alone=frozenset(BIOMETRICS.split()))
    heads = None

    def matches(self, values: pa.Array) -> npt.NDArray[np.bool_]:
        return matching(values, r"(?s).{1,300}", MISSING, LONG_NUMBER, TIME, URL, OPAQUE_KEY, STATUS)
