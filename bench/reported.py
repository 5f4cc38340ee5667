"""Figures that papers give of methods: facts with their source, never mixed with what is measured. Knows no torch."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat


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
    scores: dict[str, FiniteFloat] = Field(min_length=1)


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
