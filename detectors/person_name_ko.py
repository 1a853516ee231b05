"""Korean names, as columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pii_guard.engine.detection import REJECTED, WEAK, ColumnRule, Judgement
from pii_guard.engine.lexer_numpy import HANGUL_FIRST, syllable
from pii_guard.engine.text import Index
from pii_guard.engine.tokens import Family, Tokens
from pii_guard.model import Confidence, Kind

__all__ = ["KoreanName"]

# about the hundred most frequent surnames by Hangul spelling: some 99 % of the population (census of 2015)
SURNAMES = (
    "김이박최정강조윤장임한오서신권황안송전홍유고문양손배백허남심노하곽성차주우구민류나진지엄채원천방"
    "공현함변염여추도소석선설마길연위표명기반왕라금옥육인맹제모탁국어은편용예봉경사부가복태목형두감호"
    "음빈동온범림로리량려"
)
TWO_SYLLABLES = "남궁 황보 제갈 사공 선우 서문 독고 동방".split()
# syllables that given names are made of; ordinary words rarely have two of them behind a surname
GIVEN = (
    "동민서지현준우진수영은정미경성호재훈상철희숙순옥연아윤하예도원태유주혜선나라빈솔별길광남덕명병보"
    "복승종창춘혁환균근규관권란래련록린문범봉석섭세신애언엽완용욱웅율인일임찬채초충택필학한향형홍후휘"
    "흥건시온람름늘슬설담결겸루리효"
)
# words that look like a name all the same, and the labels of name fields
NOT_NAMES = frozenset(
    "강아지 강원도 마리아 용인시 남은수 동호수 방문수 사원수 소유주 우선주 유아수 이동수 이용수 하수도 경영진 "
    "경영자 경제인 고구마 고객명 고객님 관리자 구성원 구성진 기본값 기준일 김치전 남성용 노숙자 담당자 대표자 "
    "문예지 민원인 방정식 배송지 배수진 보호자 사용자 선수명 선정일 수령인 수취인 시리즈 신청인 신청자 안전성 "
    "여성용 연락처 예금주 운영자 원수진 유동성 유효일 이메일 이미지 이용자 이자율 이정표 인원수 임시용 작성자 "
    "정보원 정수기 정원수 조정자 조회수 주문일 주문자 주소지 주식회 주유소 주인공 진정성 차주명 최우수 최우선 "
    "하반기 한국어 한정식 현미경 현재일 이용일 이용률 신규일 정산일 구매일 수정일 인증일 최종일 환자명 회원명".split()
)
# What stands in front of a name in a text, or behind it. A usual given name is asked for as well: of 2-syllable words
# with a surname in front, every third has a title behind it somewhere (이번 위원회, 최근 학생).
LABELS = (
    "성명|이름|성함|예금주|고객명|회원명|수령인|수취인|받는\\s?(?:사람|분)|보내는\\s?(?:사람|분)|담당자?|신청[인자]|대표(?:자|이사)?|보호자|"
    "작성자?|발신자?|수신자?|참조|환자명?|피해자|신고인|민원인|청구인|계약자|피보험자|책임자|본인"
)
TITLES = (
    "님|씨|귀하|군|양|고객|회원|선생|과장|부장|차장|대리|사원|주임|팀장|이사|상무|전무|대표|사장|회장|원장|교수|박사|기자|변호사|매니저|"
    "실장|본부장|국장|주무관|사무관|서기관|조사관|위원|의원|의사|간호사|약사|판사|검사|경위|경사|경감|순경|연구원|센터장|소장|학생|여사|"
    "드림|올림"
)
NAME = rf"(?P<value>(?:{'|'.join(TWO_SYLLABLES)})[{GIVEN}]{{1,2}}|[{SURNAMES}][{GIVEN}]{{2}})"
PARTICLES = "으로|로|에게|께서|께|한테|은|는|이|가|을|를|의|과|와|도|입니다|이고|이며"
END = rf"(?:[^가-힣]|$|(?:{PARTICLES})(?:[^가-힣]|$))"
IN_TEXT = (
    rf"(?:{LABELS})\s?[:：(]?\s?{NAME}(?:{END}|{TITLES})",
    rf"(?:\A|[^가-힣]){NAME}\s?(?:{TITLES})",
    rf"(?:[가-힣]\s?[:：]\s?|[(]|[0-9][.]\s){NAME}(?:[^가-힣]|$)",
    rf"(?:\A|[^가-힣]){NAME}\s?[(]",
)
# what else has a name
NOT_PERSONS = frozenset(
    "product item goods brand model company corp store shop bank branch file table column field domain host server "
    "city country region street road color category menu option service project event campaign status code class "
    "상품 제품 품목 브랜드 모델 회사 업체 매장 은행 지점 파일 도시 지역 색상 분류 메뉴 옵션 서비스 행사".split()
)


def _table(syllables: str) -> npt.NDArray[np.bool_]:
    table = np.zeros(0x10000, np.bool_)
    table[[ord(syllable) for syllable in syllables]] = True
    return table


IS_SURNAME, IS_GIVEN = _table(SURNAMES), _table(GIVEN)
PAIRS = np.array(sorted(ord(pair[0]) << 16 | ord(pair[1]) for pair in TWO_SYLLABLES), np.int64)
WORDS = np.array(
    sorted(sum(ord(char) << (16 * place) for place, char in enumerate(word)) for word in NOT_NAMES), np.int64
)
# syllable by syllable, so that few values need the exact look-up
IS_PAIR = [_table("".join(pair[place] for pair in TWO_SYLLABLES)) for place in range(2)]
IS_WORD = [_table("".join(word[place] for word in NOT_NAMES)) for place in range(3)]


class KoreanName:
    """What it finds
        Columns whose values are a listed surname and one to three more syllables (`홍길동`, `남궁민수`, `이 영희`):
        under a header such as 성명, 고객명 or name when 60 % have the shape; without one when 70 % also have given
        names of usual syllables. In texts, names beside a label, a title, an honorific or a bracket: 성명: 홍길동.
    What it must not find
        Columns of words, places or products, a third of which begin with a surname as well; labels such as 담당자.
    Legal basis
        Personal data (PIPA Art. 2).
    Known gaps
        Names inside sentences with nothing beside them that says so; romanised names; foreign names in Hangul.
    References
        Population census of 2015, surnames by frequency.
    """

    kind = Kind("person_name_ko", "Korean name", keep=(1, 0))
    headers = frozenset(
        "성명 이름 고객명 회원명 예금주 예금주명 담당자 담당자명 수령인 수취인 받는사람 보내는사람 신청인 "
        "대표자 대표자명 작성자 보호자 법정대리인 사원명 직원명 환자명 name fullname username custnm "
        "customername mbrnm membername holder acctholder depositor receiver recipient rcvernm sender "
        "contactname empnm nm kornm".split()
    )
    patterns = IN_TEXT
    never = NOT_NAMES
    column = ColumnRule(hinted=0.6, unhinted=0.7, sure=0.3, sparse=False, unless=NOT_PERSONS)

    def candidates(self, tokens: Tokens) -> Index:
        block = tokens.family(Family.HANGUL)
        return np.arange(block.start, block.stop)

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        confidence = np.full(len(index), REJECTED, np.int8)
        for count in range(2, 6):
            for blank in (False, True):
                part = np.flatnonzero((tokens.shape[index] == count) & ((tokens.mark[index] >= 0) == blank))
                if len(part):
                    confidence[part] = _judge(tokens, index[part], count, blank)
        return Judgement(confidence)


def _judge(tokens: Tokens, index: Index, count: int, blank: bool) -> npt.NDArray[np.int8]:
    """Names of `count` syllables; with a blank, which may stand behind the surname only."""
    start, mark = tokens.start[index], tokens.mark[index]
    points = []
    for place in range(count):
        position = start + 3 * place
        if blank:
            position = position + (position >= mark)
        points.append(syllable(tokens.text.data, position))
    pair = IS_PAIR[0][points[0]] & IS_PAIR[1][points[1]]
    pair[pair] = np.isin(points[0][pair].astype(np.int64) << 16 | points[1][pair], PAIRS)
    surname = 1 + pair.astype(np.int64)
    shaped = (IS_SURNAME[points[0]] | pair) & (count - surname >= 1) & (count - surname <= (3 if blank else 2))
    if blank:
        shaped &= mark == start + 3 * surname
    usual = shaped & (count >= 3)
    for place in range(1, count):
        usual &= IS_GIVEN[points[place]] | (place < surname)
    if count == 3:
        word = usual & IS_WORD[0][points[0]] & IS_WORD[1][points[1]] & IS_WORD[2][points[2]]
        one, two, three = (point[word].astype(np.int64) for point in points)
        usual[word] = ~np.isin(one | two << 16 | three << 32, WORDS)
    level = np.where(shaped, np.int8(WEAK), np.int8(REJECTED))
    level[usual] = Confidence.POSSIBLE
    return level


assert all(ord(syllable) >= HANGUL_FIRST for syllable in SURNAMES + GIVEN)  # noqa: S101 - composed, not NFD
