"""Figures that papers give of methods: facts with their source, never mixed with what is measured. Knows no torch."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator


class Reported(BaseModel):
    """Hold figures of one method on one dataset that a document gives.

    Attributes:
        source: the document, and where in it.
        dataset: id, one of ours where it is the same pictures.
        level: of pictures, or of instances.
        protocol: how the pictures were made and compared, as far as it is known, in words.
        variant: what is special about the method there; empty where it is the method itself.
        hints: whose true colours the method was given, for each picture.
        verified_by: what else than memory confirms the figures; None where nothing does.
        verified_scores: the metrics whose figures that confirms; all of them where empty.
        scores: by the id of a metric, one of ours or of `bench.published.AS_PUBLISHED`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(min_length=1)
    dataset: str = Field(min_length=1)
    level: Literal["image", "instance"] = "image"
    protocol: str = Field(min_length=1)
    variant: str = ""
    hints: int = Field(default=0, ge=0)
    verified_by: str | None = Field(default=None, min_length=1)
    verified_scores: tuple[str, ...] = ()
    scores: dict[str, FiniteFloat] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_verified(self) -> Self:
        if self.verified_scores and not (self.verified_by and {*self.verified_scores} < {*self.scores}):
            raise ValueError("`verified_scores` are some of the `scores`, which `verified_by` confirms")
        return self

    @property
    def verification(self) -> Literal["verified", "partly verified", "unverified"]:
        """Whether anything but memory confirms the figures."""
        if self.verified_by is None:
            return "unverified"
        return "partly verified" if self.verified_scores else "verified"

    @property
    def doubt(self) -> str:
        """Return in words what confirms which of the figures."""
        memory = "not verified: from memory, no document at hand confirms"
        if self.verified_by is None:
            return f"{memory} it"
        which = f"{' and '.join(self.verified_scores)} " if self.verified_scores else ""
        return f"{which}verified by {self.verified_by}{f'; the others {memory} them' if which else ''}"


class Evaluation(BaseModel):
    """Hold how the authors of a method computed their figures, as far as it is known; None where it is not.

    Attributes:
        geometry: what was done to the photos.
        fid: which network and which scaling of its input.
        lpips: which backbone.
        ssim: its window and data range.
        colorfulness: which formula.
        source: where that was read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    geometry: str | None = Field(default=None, min_length=1)
    fid: str | None = Field(default=None, min_length=1)
    lpips: str | None = Field(default=None, min_length=1)
    ssim: str | None = Field(default=None, min_length=1)
    colorfulness: str | None = Field(default=None, min_length=1)
    source: str = Field(min_length=1)


class OutsideCard(BaseModel):
    """Hold what is published of a method that cannot be run here, or of the true pictures themselves.

    Attributes:
        url: of the released code, else of the paper; None where neither is known.
        license: of the released code, as its repository says; None where it says nothing or there is none.
        evaluation: how its authors evaluate; None where nothing is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    paper: str | None
    venue: str | None
    year: int | None
    url: str | None = None
    license: str | None = None
    evaluation: Evaluation | None = None
    reported: tuple[Reported, ...] = Field(min_length=1)
