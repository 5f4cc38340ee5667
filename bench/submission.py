"""A folder of predictions that is submitted to be scored: what was asked for, and whether it can be. Knows no torch."""

from dataclasses import dataclass
from pathlib import Path

from bench.errors import CommandError, MissingError
from bench.pairs import Pairing, complaints, pair_folders
from bench.progress import say
from datamodules.protocol import PROTOCOLS

DETECTOR = "none"
SEED = 0


@dataclass(frozen=True, slots=True)
class Submission:
    """Hold what the command line says of a folder of predictions.

    Attributes:
        metrics: None for the usual ones, as far as their weights are at hand.
        partial: score the pairs that match, where not all do.
        strict: stop at the first picture that fails.
        save_images: keep what was compared, for the report.
        named: how predictions are called after their truths; None for the same names.
    """

    predictions: Path
    truth: Path
    out: Path
    name: str
    dataset: str
    protocol: str
    instances: Path | None = None
    metrics: tuple[str, ...] | None = None
    partial: bool = False
    strict: bool = False
    devices: int = 1
    download: bool = True
    save_images: bool = False
    named: str | None = None

    @property
    def folder(self) -> str:
        """Return the run's folder below the output folder."""
        return f"runs/{self.dataset}/{self.name}--{DETECTOR}--s{SEED}"


def find_pairs(submission: Submission) -> Pairing:
    """Pair the pictures of the two folders.

    Raises:
        CommandError: Not all match, unless a part may be scored and there is one.
        MissingError: A folder is not there or holds no picture, or there is no file of instances.
    """
    if submission.instances is not None and not submission.instances.is_file():
        raise MissingError(f"there is no COCO file at {submission.instances}")
    for folder in (submission.predictions, submission.truth):
        if not folder.is_dir():
            raise MissingError(f"there is no folder of pictures at {folder}")
    protocol = PROTOCOLS[submission.protocol]
    pairing = pair_folders(submission.predictions, submission.truth, protocol, submission.named)
    _refuse_empty(submission, pairing)
    if pairing.whole:
        return pairing
    what = f"{submission.predictions} and {submission.truth} do not hold the same pictures"
    lines = "".join(f"\n  {line}" for line in complaints(pairing, protocol))
    count = len(pairing.matched)
    if not (submission.partial and count):
        way = f", or score the {count} that match with --partial" if count else ""
        raise CommandError(f"{what}, so nothing is scored; mend the folders{way}{lines}")
    say(f"{what}; the {count} that match are scored, others are left out{lines}")
    return pairing


def _refuse_empty(submission: Submission, pairing: Pairing) -> None:
    in_both = pairing.matched or pairing.resized or pairing.ambiguous
    for folder, others in ((submission.predictions, pairing.surplus), (submission.truth, pairing.missing)):
        if not in_both and not others:
            raise MissingError(f"there is no picture in {folder}")
