"""Files whose names hold more than the name of their picture, such as `fake_0001.png` or `0001_colorized.png`."""

import re
from functools import cache

NAME = "{name}"


def check_pattern(pattern: str) -> str:
    """Return a pattern of file names.

    Raises:
        ValueError: It does not say where the name of the picture stands, or it speaks of folders.
    """
    if pattern.count(NAME) != 1 or "/" in pattern:
        raise ValueError(
            f"{pattern!r} does not say how files are called: wanted {NAME} once, * for anything else, and no folder or "
            f"suffix, such as fake_{NAME}, {NAME}_colorized or {NAME}_c*"
        )
    return pattern


def named_key(key: str, pattern: str) -> str | None:
    """Return the key of the picture that a file's key names by a pattern; None where it does not fit.

    Folders are the picture's own. Where `*` could stand for more or less, the picture has the longest name.

    Examples:
        >>> named_key("cats/fake_0001", "fake_{name}"), named_key("0001_gray", "{name}_colorized")
        ('cats/0001', None)
    """
    folder, slash, name = key.rpartition("/")
    found = _compiled(pattern).fullmatch(name)
    return f"{folder}{slash}{found[1]}" if found else None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    before, after = (re.escape(part).replace(r"\*", ".*") for part in pattern.split(NAME))
    return re.compile(f"{before.replace('.*', '.*?')}(.+){after}", re.DOTALL)
