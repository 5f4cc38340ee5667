"""Which prediction belongs to which truth: by relative name alone, and what does not fit is named. Knows no torch."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

from bench.progress import progress
from bench.terminal import visible
from datamodules.images import ImageError, group_images, measure_image, path_to_key, printable_name
from datamodules.naming import NAME
from datamodules.protocol import Protocol

MOST_NAMED = 10
MOST_PATTERNS = 3

Size = tuple[int, int]
"""Height and width in pixels, after the EXIF rotation."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """Hold what two folders have in common, and what not.

    Attributes:
        matched: keys that one prediction and one truth have, and that can be scored; sorted.
        missing: truths without a prediction.
        surplus: predictions without a truth.
        ambiguous: the files of each key that several files of one folder have; such keys never match.
        resized: sizes of prediction and truth where they cannot be compared.
        sizes: at which pairs are scored; one of a file without a head that can be read is not in it.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    ambiguous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    resized: Mapping[str, tuple[Size, Size]] = field(default_factory=dict)
    sizes: Mapping[str, Size] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether every file of both folders is part of a pair."""
        return not (self.missing or self.surplus or self.ambiguous or self.resized)


def pair_folders(predictions: Path, truth: Path, protocol: Protocol, named: str | None = None) -> Pairing:
    """Pair the pictures of two folders and compare their sizes, by the heads of their files.

    A file that cannot be measured stays in its pair: what is wrong with it is said by its row.

    Args:
        predictions: folder of the predicted pictures.
        truth: folder of the true ones.
        protocol: under which they are to be scored.
        named: how predictions are called after their truths; None for the same names.

    Raises:
        FileNotFoundError: One is no folder.
    """
    ours, theirs = group_images(predictions, named), group_images(truth)
    paired = pair_names(_names(ours, predictions), _names(theirs, truth))
    resized: dict[str, tuple[Size, Size]] = {}
    sizes: dict[str, Size] = {}
    with progress("sizes of pictures", len(paired.matched)) as advance:
        for key in paired.matched:
            given, wanted = _measure(ours[key][0], predictions), _measure(theirs[key][0], truth)
            if given is not None and wanted is not None:
                if fits(given, wanted, protocol):
                    sizes[key] = scored_size(wanted, protocol)
                else:
                    resized[key] = given, wanted
            advance()
    matched = tuple(key for key in paired.matched if key not in resized)
    return replace(paired, matched=matched, resized=resized, sizes=sizes)


def pair_names(predictions: Mapping[str, Sequence[str]], truth: Mapping[str, Sequence[str]]) -> Pairing:
    """Pair files by their keys; each argument holds the file names of every key."""
    several = {key for folder in (predictions, truth) for key, names in folder.items() if len(names) > 1}
    return Pairing(
        matched=tuple(sorted((predictions.keys() & truth.keys()) - several)),
        missing=tuple(sorted(truth.keys() - predictions.keys())),
        surplus=tuple(sorted(predictions.keys() - truth.keys())),
        ambiguous={
            key: tuple(name for folder in (predictions, truth) for name in folder.get(key, ()) if len(folder[key]) > 1)
            for key in sorted(several)
        },
    )


def fits(prediction: Size, truth: Size, protocol: Protocol) -> bool:
    """Whether a prediction can be scored: it has the size of its truth, or that of the protocol already."""
    return prediction in {truth, scored_size(truth, protocol)}


def scored_size(truth: Size, protocol: Protocol) -> Size:
    """Return the size at which a picture is scored under a protocol."""
    return truth if protocol.size is None else (protocol.size, protocol.size)


def batches(pairing: Pairing, most: int, most_pixels: int) -> list[tuple[str, ...]]:
    """Return the pairs in batches of equal size, smallest first, each in order of name; the unmeasured ones come last.

    It is a function of the folders alone: whoever scores a picture, and whatever is done already, scores it with the
    same others.

    Args:
        pairing: of two folders.
        most: pairs of a batch.
        most_pixels: of all pictures of a batch together; a single picture may have more.
    """
    measured = sorted(pairing.sizes.items(), key=lambda item: (item[1][0] * item[1][1], item[1], item[0]))
    found: list[tuple[str, ...]] = []
    for (height, width), group in groupby(measured, key=lambda item: item[1]):
        keys = [key for key, _ in group]
        step = max(1, min(most, most_pixels // (height * width)))
        found += [tuple(keys[start : start + step]) for start in range(0, len(keys), step)]
    return [*found, *((key,) for key in pairing.matched if key not in pairing.sizes)]


def complaints(pairing: Pairing, protocol: Protocol) -> list[str]:
    """Return a line for each kind of file that is part of no pair, with the first ten and their number."""
    kinds = {
        "missing, truth without prediction": [_quoted(key) for key in pairing.missing],
        "surplus, prediction without truth": [_quoted(key) for key in pairing.surplus],
        "ambiguous, one name for several files": [
            f"{_quoted(key)} ({', '.join(map(visible, files))})" for key, files in pairing.ambiguous.items()
        ],
        f"of another size than {protocol.id} compares": [
            f"{_quoted(key)} ({_pixels(given)}, truth {_pixels(wanted)})"
            for key, (given, wanted) in pairing.resized.items()
        ],
        "alike but for capitals or the form of accents": [
            f"prediction {_quoted(given)}, truth {_quoted(wanted)}" for given, wanted in near_names(pairing)
        ],
        "alike but for a second suffix, to be renamed": [
            f"prediction {_quoted(f'{given}.*')} to {_quoted(f'{wanted}.*')}"
            for given, wanted in suffixed_names(pairing)
        ],
    }
    lines = [f"{kind}: {_first(names)}" for kind, names in kinds.items() if names]
    patterns = [] if suffixed_names(pairing) else common_patterns(pairing)
    ways = " or ".join(f"--named '{visible(pattern)}'" for pattern in patterns[:MOST_PATTERNS])
    return [*lines, f"called after their truths: give {ways}"] if ways else lines


def near_names(pairing: Pairing) -> list[tuple[str, str]]:
    """Return surplus and missing names that differ only in case or in their Unicode normal form."""
    return _alike(pairing, _folded)


def suffixed_names(pairing: Pairing) -> list[tuple[str, str]]:
    """Return surplus and missing names of which one has another picture's suffix before its own, as `p4.jpg.png`."""
    return _alike(pairing, path_to_key)


def common_patterns(pairing: Pairing) -> list[str]:
    """Return how all missing predictions may be called, as `--named` takes it, where surplus ones tell."""
    if not pairing.missing:
        return []
    folder, _, name = pairing.missing[0].rpartition("/")
    beside = [key.rpartition("/")[2] for key in pairing.surplus if key.rpartition("/")[0] == folder]
    patterns = (
        f"{other[: found.start()]}{NAME}{other[found.end() :]}"
        for other in beside
        for found in re.finditer(re.escape(name), other)
    )
    surplus = set(pairing.surplus)
    return sorted({one for one in patterns if all(_called(one, key) in surplus for key in pairing.missing)})


def _called(pattern: str, key: str) -> str:
    folder, slash, name = key.rpartition("/")
    return f"{folder}{slash}{pattern.replace(NAME, name)}"


def _alike(pairing: Pairing, fold: Callable[[str], str]) -> list[tuple[str, str]]:
    surplus = {fold(key): key for key in pairing.surplus}
    return [(surplus[fold(key)], key) for key in pairing.missing if fold(key) in surplus]


def _folded(key: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", key).casefold())


def _names(groups: Mapping[str, Iterable[Path]], root: Path) -> dict[str, tuple[str, ...]]:
    return {key: tuple(printable_name(path.relative_to(root)) for path in paths) for key, paths in groups.items()}


def _measure(path: Path, root: Path) -> Size | None:
    try:
        return measure_image(path, root=root)
    except ImageError:
        return None


def _quoted(key: str) -> str:
    return f"'{visible(key)}'"


def _pixels(size: Size) -> str:
    return f"{size[1]} x {size[0]}"


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{len(names)}: {', '.join(names[:MOST_NAMED])}{more}"
