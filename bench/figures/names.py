"""Names on axes and of files: short enough to fit, different from each other, and safe."""

import re
from collections.abc import Sequence
from hashlib import sha256

from bench.terminal import visible

LONGEST_LINE = 26
"""Letters of a line of a name beside a plot."""
LONGEST_IN_LEGEND = 44
LONGEST_OF_TWO = 17
"""Letters of a name that has room beside another one in a legend."""
MOST_LINES = 3
"""So many full lines of a name are shown; what is longer is cut in its middle."""
LONGEST_PART = 50
DETECTOR = " · "
"""Stands between a method and its detector."""


def shorten(text: str, most: int) -> str:
    """Return a text without control characters, its middle left out where it is too long.

    >>> shorten("instcolor-fusion-masked", 12)
    'instco…asked'
    """
    text = visible(text)
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}…{text[len(text) - (most - 1) // 2 :]}"


def labels(names: Sequence[str], width: int = LONGEST_LINE) -> list[str]:
    r"""Break names that stand beside each other into lines; the longest are cut, and numbered if they would be alike.

    >>> labels(["instcolor-fusion-masked · annotations"])
    ['instcolor-fusion-masked\n· annotations']
    """
    most = MOST_LINES * width
    short = [_both_shortened(name, most) for name in names]
    if len(set(short)) < len(set(names)):
        short = [f"{place}: {_both_shortened(name, most - 3)}" for place, name in enumerate(names, 1)]
    return [broken(name, width) for name in short]


def broken(name: str, width: int) -> str:
    r"""Break a name into lines of so many letters, before its detector where that takes no line more.

    >>> broken("instcolor-fusion · yolo", 14), broken("gray · annotations-drop0.5", 25)
    ('instcolor-\nfusion · yolo', 'gray\n· annotations-drop0.5')
    """
    method, dot, detector = name.partition(DETECTOR)
    whole = _lines(name, width)
    parted = [*_lines(method, width), *_lines(f"{dot.lstrip()}{detector}", width)]
    return "\n".join(parted if 1 < len(whole) >= len(parted) else whole)


def _lines(text: str, width: int) -> list[str]:
    """Fill lines with words, which end with `-`, `_` or a space; a longer word is cut into several."""
    words = [word for word in re.split(r"(?<=[-_ ])(?<!· )", text) if word]
    pieces = [word[start : start + width] for word in words for start in range(0, len(word.rstrip()), width)]
    lines = [""]
    for piece in pieces:
        lines[-1:] = [lines[-1] + piece] if len((lines[-1] + piece).rstrip()) <= width else [lines[-1], piece]
    return [line.rstrip() for line in lines if line.strip()]


def count_lines(names: Sequence[str]) -> int:
    """Return how many lines the longest of some labels takes."""
    return max((1 + name.count("\n") for name in names), default=1)


def _both_shortened(name: str, most: int) -> str:
    """Shorten a method and its detector, each by itself, so that something of both stays."""
    method, dot, detector = name.partition(DETECTOR)
    last = shorten(detector, max(1, most // 2 - len(DETECTOR), most - len(visible(method)) - len(DETECTOR)))
    return shorten(method, most - len(dot + last)) + dot + last


def stem(*parts: str) -> str:
    """Return the name of a file, without suffix, from what it shows.

    Letters, digits, `.`, `_` and `-` stay, `#` becomes `+`; other and long parts end with a digest of their own.

    >>> stem("samples#1a2b3c4d", "stretch256-v1", "image", "psnr", "scores")
    'samples+1a2b3c4d--stretch256-v1--image--psnr--scores'
    """
    return "--".join(map(_part, parts))


def _part(text: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "-", text.replace("#", "+")).lstrip(".-")
    if plain == text.replace("#", "+") and len(plain) <= LONGEST_PART:
        return plain
    return f"{plain[: LONGEST_PART - 9]}-{sha256(text.encode()).hexdigest()[:8]}"
