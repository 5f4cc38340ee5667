"""The questions that papers put to people, and how long each shows its pictures. Imports nothing slow."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from bench.errors import UsageError

UNLIMITED = "unlimited"
LONGEST_EXPOSURE = 60.0


class ProtocolId(StrEnum):
    """What a participant is asked."""

    preference = "preference"
    real_fake = "real-fake"
    which_real = "which-real"


class Layout(StrEnum):
    """Whether the two pictures of a trial are seen at once, or first the left and then the right one."""

    together = "together"
    turns = "turns"


@dataclass(frozen=True, slots=True)
class Protocol:
    """Hold one question with what is customary for it.

    Attributes:
        question: as participants read it.
        task: what they will see and do, one sentence.
        answers: the two that can be given, the one of the left key first.
        labels: of the two buttons.
        exposure: seconds that a picture is seen; None until the answer.
        practice: trials with feedback before the others.
        source: which paper asked so, and what is known of its procedure.
    """

    id: ProtocolId
    question: str
    task: str
    answers: tuple[str, str]
    labels: tuple[str, str]
    exposure: float | None
    layout: Layout
    practice: int
    source: str

    @property
    def paired(self) -> bool:
        """Return whether a trial shows two pictures."""
        return self.answers == SIDES


SIDES = ("left", "right")
REAL, FAKE = "real", "fake"

PROTOCOLS: Mapping[ProtocolId, Protocol] = MappingProxyType(
    {
        ProtocolId.preference: Protocol(
            id=ProtocolId.preference,
            question="Which picture has the better colours?",
            task="You will see two versions of one picture, each coloured in another way. Choose the one whose colours "
            "look better and more natural to you; if both look alike, choose all the same.",
            answers=SIDES,
            labels=("Left picture", "Right picture"),
            exposure=None,
            layout=Layout.together,
            practice=4,
            source="Su et al., Instance-aware Image Colorization, CVPR 2020, report that people preferred their "
            "result in 61 % of the pairs with Zhang et al. 2017 and in 72 % of those with DeOldify. How long "
            "pictures were seen is not known here, so they stay until the answer.",
        ),
        ProtocolId.real_fake: Protocol(
            id=ProtocolId.real_fake,
            question="Does this picture look natural to you?",
            task="You will see one picture at a time. Some are photographs with their own colours, others were "
            "coloured by a computer program. Say whether the colours look natural to you.",
            answers=(REAL, FAKE),
            labels=("Yes, real colours", "No, made colours"),
            exposure=None,
            layout=Layout.together,
            practice=10,
            source="Iizuka et al., Let there be Color!, SIGGRAPH 2016, ask this question of photographs, a baseline "
            "and their model: 97.7 %, about 70 % and 92.6 % looked natural, as another project's document "
            "quotes them; the paper itself was not read here, and how long pictures were seen is not known. "
            "The truth is shown as often as each method. EdgeConnect (Nazeri et al. 2019) has such a test too,"
            " in which 94.6 ± 0.5 % of the truth passed for real, as a review of it says; its 2 s, which could"
            " not be checked here, are --exposure 2.",
        ),
        ProtocolId.which_real: Protocol(
            id=ProtocolId.which_real,
            question="Which picture is the real photograph?",
            task="You will see a photograph twice: once with its own colours, once coloured by a computer program. "
            "Choose the one with the real colours. The made colours may look very plausible.",
            answers=SIDES,
            labels=("Left is real", "Right is real"),
            exposure=1.0,
            layout=Layout.turns,
            practice=10,
            source="Zhang et al., Colorful Image Colorization, ECCV 2016, read in its text on arXiv (1603.08511): "
            "each picture is seen for one second at 256 x 256, then there is unlimited time; 10 practice "
            "trials with feedback that are not counted, 40 test pairs without; 10 % of the trials pit the "
            "truth against random colours, which were found in 87 %; 40 participants a method, each in one "
            "session of that method alone (--methods). Their page asks for the fake, as its instructions say "
            "(AMT_Real_vs_Fake, instructions_colorization.html). Here the real one is asked for, as in the "
            "visual Turing test of Nazeri et al. 2018, read in their program (Colorizing-with-GANs at 13bb4c4,"
            " src/utils.py): it shows both at once, without limit or for 2 s, within which the answer must be "
            "given; --layout together --exposure 2 shows them as long and lets the answer come later. "
            "EdgeConnect calls its test of pairs just noticeable difference.",
        ),
    }
)


def parse_exposure(text: str) -> float | None:
    """Return seconds, None for `unlimited`.

    >>> parse_exposure("2"), parse_exposure("unlimited")
    (2.0, None)

    Raises:
        UsageError: It is neither that word nor a number of seconds above 0 and up to 60.
    """
    if text == UNLIMITED:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_EXPOSURE:
        raise UsageError(f"--exposure {text} shows nothing: give seconds above 0, up to 60, or unlimited")
    return seconds
