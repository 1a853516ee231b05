"""A policy as text for people: complete, in two languages, and safe against hostile names."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

import pytest
from cli_runner import EXAMPLES

from pii_guard.model import Tag
from pii_guard.policy import Policy, load, parse
from pii_guard.policy.periods import parse_period
from pii_guard.render.policy import overview
from pii_guard.render.privacy_policy import WORDS, html, markdown, period_words

HOSTILE = 'x | y\n## <script>alert(1)</script> [a](http://b) *c* `d` ##[e] \x1b[31m "q" & @f'


@pytest.fixture(scope="module")
def example() -> Policy:
    return load(EXAMPLES / "policy" / "pii-guard.toml")


class Reader(HTMLParser):
    """The tags and the texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data)


@pytest.mark.parametrize("language", WORDS)
def test_both_forms_say_the_same(example: Policy, language: str) -> None:
    """Every cell of the HTML stands in the Markdown, in the same order."""
    tags = {"members.email": Tag(kind="email", purposes=("membership",), retention="contracts", protection="encrypt")}
    reader = Reader()
    reader.feed(html(example, tags, language))
    text = markdown(example, tags, language)
    plain = re.sub(r"\\(.)", r"\1", text)
    place = 0
    for cell in reader.texts[1:]:  # the first is the title of the page
        place = plain.index(cell, place)
    assert "members.email" in plain


@pytest.mark.parametrize("language", WORDS)
def test_everything_that_people_are_told_is_there(example: Policy, language: str) -> None:
    text = re.sub(r"\\(.)", r"\1", markdown(example, {}, language))
    for purpose in example.purposes.values():
        assert purpose.title in text
        assert all(sub in text for sub in purpose.sub_purposes.values())
    own = [entry for name, entry in example.retention.items() if example.is_own("retention", name)]
    assert all(entry.title and entry.title in text for entry in own)
    receivers = [*example.recipients.values(), *example.processors.values()]
    assert all(entry.name in text for entry in receivers)
    assert all(measure.text in text for measure in example.safety_measures.values())
    assert "kr-ecommerce" not in text  # the classes of the pack that nothing uses


def test_languages_have_the_same_headings() -> None:
    assert len({len(words) for words in WORDS.values()}) == 1
    assert all(len(set(words)) == len(words) for words in (WORDS["en"],))


def test_hostile_texts_stay_text() -> None:
    policy = parse({"version": 1, "title": HOSTILE, "purposes": {"p": {"title": HOSTILE}}}, "policy")
    reader = Reader()
    reader.feed(html(policy, {HOSTILE: Tag(kind="email")}))
    assert set(reader.tags) <= {"html", "head", "meta", "title", "body", "h1", "h2", "table", "tr", "th", "td"}
    text = markdown(policy, {HOSTILE: Tag(kind="email")})
    assert "<script" not in text
    assert "\x1b" not in text
    assert "\n## <" not in text
    lines = text.splitlines()
    for above, line in itertools.pairwise(lines):  # as many cells as the row above: no name opened one
        if above.startswith("| ") and line.startswith("| "):
            assert len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"(?<!\\)\|", above))


def test_overview_hides_what_nothing_uses(example: Policy) -> None:
    short, whole = overview(example), overview(example, everything=True)
    assert "9 more retention classes" in short
    assert "kr-ecommerce-payment" not in short
    assert "kr-ecommerce-payment" in whole


@pytest.mark.parametrize(
    ("period", "words"),
    [
        ("P5Y", "5 years"),
        ("P1Y", "1 year"),
        ("P1Y6M", "1 year 6 months"),
        ("PT24H", "24 hours"),
        ("P2W", "2 weeks"),
        ("P1DT1M", "1 day 1 minute"),
        ("until it is done", "until it is done"),
        ("P", "P"),
        ("P1X", "P1X"),
    ],
)
def test_periods_in_words(period: str, words: str) -> None:
    assert period_words(period, "en") == words
    if words != period:
        parse_period(period)
        assert not re.search("[A-Za-z]", period_words(period, "ko"))
