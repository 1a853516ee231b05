"""Is time linear on texts made to be slow? One line of 1.25 to 10 MB of each, through `find`.

    python benchmarks/hostile.py [NAME ...]

CPU seconds for each size, how the last doubling changed them (2 is linear; machines are noisy), and the most memory
that the process had so far. Every text is searched for all kinds.
"""

from __future__ import annotations

import argparse
import io
import resource
import time

from pii_guard.detectors import select
from pii_guard.finder import find_in_stream

MEGABYTE = 1_000_000
SIZES = [MEGABYTE * 10 // 8, MEGABYTE * 10 // 4, MEGABYTE * 10 // 2, MEGABYTE * 10]
TEXTS = {
    "digits": "1",
    "at": "@",
    "hyphens": "-",
    "digit-hyphen": "1-",
    "groups": "12-34 ",
    "a@": "a@",
    "a@b.": "a@b.",
    "colons": ":",
    "a1:": "a1:",
    "1.": "1.",
    "phone-": "010-1234-5678-",
    "phones": "01000000000 ",
    "resident": "900101-1234567 ",
    "hangul": "홍",
    "names": "성명: 홍길동 ",
    "full-width": "０１",
    "zero-width": "0\u200b",
    "decomposed": "\u1112\u1169\u11bc",
    "stars": "*",
    "brackets": "(",
    "blanks": " ",
}


def spent(text: str, size: int) -> float:
    piece = text.encode()
    data = (piece * (size // len(piece) + 1))[:size]
    detectors = select()
    start = time.process_time()
    for _ in find_in_stream(io.BytesIO(data), detectors):
        pass
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*TEXTS, []], help="which texts; by default all")
    chosen = parser.parse_args().names or list(TEXTS)
    print(f"{'text':<14}" + "".join(f"{size / MEGABYTE:>7} MB" for size in SIZES) + f"{'doubled':>9} {'peak MB':>8}")
    for name in chosen:
        seconds = [spent(TEXTS[name], size) for size in SIZES]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{name:<14}" + "".join(f"{each:>10.2f}" for each in seconds), end="")
        print(f"{seconds[-1] / seconds[-2]:>9.2f} {peak:>8}", flush=True)


if __name__ == "__main__":
    main()
