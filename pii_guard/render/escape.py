"""One escaping function for each format. A name may be hostile: a column can be called anything.

What acts on the reader's side (a terminal escape, a line break, a bidirectional override, a spreadsheet formula, a
command to a build runner) comes out as text that can be seen. Korean and other letters stay as they are.
"""

from __future__ import annotations

import html as stdlib_html
import json as stdlib_json
import re
from urllib.parse import quote

__all__ = [
    "csv_cell",
    "github",
    "github_property",
    "html",
    "json",
    "markdown",
    "sarif_text",
    "terminal",
    "uri",
    "xml",
]

_INVISIBLE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0 and C1 controls
    "\xad\u061c\u180e\u200b-\u200f\ufeff"  # soft hyphen, zero-width characters and marks
    "\u2028-\u202e\u2060-\u206f"  # separators of lines; overrides, isolates and other invisible operators
    "\ufff9-\ufffb\U000e0000-\U000e007f"  # annotations, tags
    "\ud800-\udfff"  # lone surrogates: bytes of a file name that are not UTF-8
    "]"
)
_NO_CHARACTER = re.compile("[\ufffe\uffff]")  # no characters of XML 1.0, beside those above
# Build runners obey `##[` and `##vso[` anywhere in a line, `::` at its start (white space aside).
_COMMAND = re.compile(r"##(?=\[|vso\[)")
_COMMAND_AT_START = re.compile(r"\A\s*::")
# What starts markup inside a line of Markdown; HTML is escaped before.
_MARKUP = re.compile(r"[\\`*_\[\]|~@]|://")
# What a spreadsheet takes as the start of a formula; some take the full-width forms too.
_FORMULA = re.compile(r"[=+\-@\t\r＝＋－＠]")


def terminal(text: str, *, wrapped: bool = False) -> str:
    r"""`text` on one line, with nothing in it that a terminal or a build runner obeys.

    `wrapped` says that it will be broken over lines at any place, so that any part of it may come to start a line.

    >>> terminal("a\x1b[31m\nb"), terminal("::error::x")
    ('a\\x1b[31m\\x0ab', '\\x3a\\x3aerror::x')
    """
    if wrapped:
        text = text.replace("::", r"\x3a\x3a")
    text = _COMMAND_AT_START.sub(lambda hit: hit[0].replace(":", r"\x3a"), text)
    return _INVISIBLE.sub(_visible, _COMMAND.sub(r"\\x23\\x23", text))


def json(value: object, *, indent: int | None = None) -> str:
    r"""`value` as JSON in readable Unicode; what cannot be seen, or is no character, is written as \u escapes.

    >>> print(json({"이름": "\u202e"}))
    {"이름": "\u202e"}
    """
    text = stdlib_json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    newline = "\n" if indent else ""  # the layout's own
    text = _INVISIBLE.sub(lambda hit: hit[0] if hit[0] == newline else stdlib_json.dumps(hit[0])[1:-1], text)
    return _COMMAND.sub(r"\\u0023#", text)


def csv_cell(text: str) -> str:
    """`text` as the content of a cell: on one line, never a formula. Quoting is left to the csv module.

    >>> csv_cell("=cmd()"), csv_cell("전화")
    ("'=cmd()", '전화')
    """
    return ("'" if _FORMULA.match(text) else "") + _INVISIBLE.sub(_visible, _COMMAND.sub(r"\\x23\\x23", text))


def html(text: str) -> str:
    """`text` as content of an HTML element or of an attribute in quotes.

    >>> html('<b>"전화"</b>')
    '&lt;b&gt;&quot;전화&quot;&lt;/b&gt;'
    """
    return stdlib_html.escape(_INVISIBLE.sub(_visible, _COMMAND.sub(r"\\x23\\x23", text)))


def markdown(text: str) -> str:
    r"""`text` as the content of a cell or heading of Markdown: no markup, no HTML, no link, no new cell or line.

    >>> markdown("a|b *c* <d> [e](f)")
    'a\\|b \\*c\\* &lt;d&gt; \\[e\\](f)'
    """
    return _MARKUP.sub(r"\\\g<0>", html(text).replace("&#x27;", "'").replace("&quot;", '"'))


def xml(text: str) -> str:
    """`text` as content of an element or, in double quotes, of an attribute of XML 1.0.

    >>> xml('<a href="x">&</a>')
    '&lt;a href=&quot;x&quot;&gt;&amp;&lt;/a&gt;'
    """
    return stdlib_html.escape(_NO_CHARACTER.sub(_visible, terminal(text)))


def github(text: str) -> str:
    r"""`text` as the message of a workflow command of GitHub Actions, on one line.

    >>> print(github("100 %\n"))
    100 %25\x0a
    """
    return terminal(text).replace("%", "%25")  # line ends, which GitHub writes %0D and %0A, are visible by now


def github_property(text: str) -> str:
    """`text` as the value of a property of a workflow command.

    >>> github_property("a:b,c")
    'a%3Ab%2Cc'
    """
    return github(text).replace(":", "%3A").replace(",", "%2C")


def sarif_text(text: str) -> str:
    r"""`text` as a plain text message of SARIF 2.1.0: no embedded link (3.11.6), no placeholder (3.11.5).

    >>> print(sarif_text("[x](y) {0}"))
    \[x\](y) {{0}}
    """
    return re.sub(r"[\\\[\]]", r"\\\g<0>", terminal(text)).replace("{", "{{").replace("}", "}}")


def uri(path: str) -> str:
    """The path of a file as a URI reference (RFC 3986): relative as it is, absolute under `file://`.

    >>> uri("data/고객 1.csv"), uri("/tmp/a:b")
    ('data/%EA%B3%A0%EA%B0%9D%201.csv', 'file:///tmp/a%3Ab')
    """
    text = quote(terminal(path), safe="/~")
    return f"file://{text}" if text.startswith("/") else text


def _visible(hit: re.Match[str]) -> str:
    code = ord(hit[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
