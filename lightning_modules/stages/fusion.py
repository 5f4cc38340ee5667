"""Stage 3 of Su et al. 2020: instance features are blended into those of the picture before it is coloured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn

from datamodules.types import Boxes, ColorBatch, GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.losses.huber import HuberLoss, colorful, mean_over
from lightning_modules.networks.blending import Softmax
from lightning_modules.networks.fusion import FusionNet, Level, Weighting, trained_parts
from lightning_modules.networks.siggraph import SiggraphNet
from lightning_modules.stages.instance import idle_loss, require_crops


class FusionColorizer(Colorizer):
    """Colour pictures with the features of their instances; a picture without boxes gets the colours of stage 1.

    All networks stay in eval mode, BatchNorm at the learnt statistics, and only the weight layers and the last block of
    `fusion` are trained, as published.

    Args:
        full: colours whole pictures that have no boxes; frozen.
        instance: gives the features of crops; frozen.
        fusion: blends and colours; its trunk starts as a copy of `full` unless it has weights of its own.
        loss: chroma and truth to a scalar; the authors' `HuberLoss` where none is given.
        input_size: side in pixels of the light that `full` and `fusion` see.
        crop_size: side in pixels of the crops.
        learning_rate: of Adam.
        chunk: when no gradient is wanted, crops that go through `instance` at once, and the number of boxes up to which
            pictures are coloured together.
        softmax: of the learned weights, `padded` as published, or `masked`, which gives an instance no share where it
            has nothing to put. A setting of the method and not of `fusion`, so that weights trained with the one serve
            the other.
        weighting: of instances and background, learned as published, or an ablation of the paper: by box or by mask.
            These two train no weight layers.
        level: where instances are blended in, in encoder and decoder as published or, ablations, in one of them.
    """

    uses_boxes = True

    def __init__(
        self,
        *,
        full: nn.Module,
        instance: SiggraphNet,
        fusion: FusionNet,
        loss: nn.Module | None = None,
        input_size: int | None = 256,
        crop_size: int = 256,
        learning_rate: float = 5e-5,
        chunk: int = 8,
        softmax: Softmax = "padded",
        weighting: Weighting = "learned",
        level: Level = "both",
    ) -> None:
        super().__init__(input_size=input_size, crop_size=crop_size, learning_rate=learning_rate)
        self.full = full.requires_grad_(False)
        self.instance = instance.requires_grad_(False)
        self.fusion = fusion.requires_grad_(False)
        for name in trained_parts(weighting, level):
            fusion.get_submodule(name).requires_grad_(True)
        self.objective = loss or HuberLoss()
        self.chunk = chunk
        self.softmax: Softmax = softmax
        self.weighting: Weighting = weighting
        self.level: Level = level
        self.uses_masks = weighting == "mask"
        self.train()

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the three networks."""
        return {"full": self.full, "instance": self.instance, "fusion": self.fusion}

    def inherit(self, loaded: frozenset[str]) -> None:
        """Begin where the stages before ended.

        The trunk of `fusion`, and `instance` where it has no weights of its own, become copies of `full`; the weight
        layers of `fusion` keep their random start.
        """
        if "full" not in loaded:
            return
        trunk = self.full.state_dict()
        if "instance" not in loaded:
            self.instance.load_state_dict(trunk)
        if "fusion" not in loaded:
            self.fusion.load_state_dict({**self.fusion.state_dict(), **trunk})

    def train(self, mode: bool = True) -> Self:
        """Switch to training; the networks stay in eval mode all the same, as published."""
        super().train(mode)
        for network in self.networks().values():
            network.eval()
        return self

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Colour pictures with boxes by `fusion`, those without by `full`.

        Raises:
            ValueError: The batch has another number of crops than of boxes, or weighting is by mask and there is none.
        """
        require_crops(gray)
        counts = [len(boxes) for boxes in gray.boxes]
        plain = [picture for picture, count in enumerate(counts) if count == 0]
        if len(plain) == len(counts):
            alone: Tensor = self.full(gray.light)
            return alone
        crops = torch.split(gray.crops, counts)
        parts = [self.full(gray.light[plain])] if plain else []
        order = list(plain)
        at_once = sum(counts) if torch.is_grad_enabled() else self.chunk
        for group in _groups(counts, at_once):
            features = self._features(torch.cat([crops[picture] for picture in group]), at_once)
            parts.append(self._fused(gray.light[group], [gray.boxes[picture] for picture in group], features))
            order += group
        back = torch.tensor(order, device=gray.light.device).argsort()
        return torch.cat(parts)[back]

    def counted(self, batch: ColorBatch) -> int:
        """Return how many pictures of the batch are in its loss."""
        return int(self._kept(batch).sum())

    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        """Return the loss over the pictures of the batch that are not grey; the others are not coloured.

        In training only pictures with boxes count: `full`, which colours the others, learns nothing here.
        """
        keep = self._kept(batch)
        if not keep.any():
            return {"loss": idle_loss(self.fusion)}
        chroma, truth = self(_only(batch.gray, keep)), batch.chroma[keep]
        return {"loss": mean_over(self.objective, keep[keep], chroma, truth)}

    def _kept(self, batch: ColorBatch) -> Tensor:
        """Return which pictures of a batch, (B,) bool, are in its loss."""
        keep = colorful(batch.chroma)
        if self.training:
            keep &= torch.tensor([len(boxes) > 0 for boxes in batch.gray.boxes], device=keep.device)
        return keep

    def _fused(self, light: Tensor, boxes: Sequence[Boxes], features: Mapping[str, Tensor]) -> Tensor:
        chroma: Tensor = self.fusion(
            light, boxes, features, softmax=self.softmax, weighting=self.weighting, level=self.level
        )
        return chroma

    @torch.no_grad()
    def _features(self, crops: Tensor, at_once: int) -> dict[str, Tensor]:
        """Return the feature maps of crops, which take no gradient."""
        first, *others = (self.instance.features(part) for part in torch.split(crops, at_once))
        return {name: torch.cat([first[name], *(part[name] for part in others)]) for name in first} if others else first


def _only(gray: GrayBatch, keep: Tensor) -> GrayBatch:
    """Return the pictures of a batch for which `keep`, (B,) bool, is True, with their boxes and crops."""
    require_crops(gray)
    if keep.all():
        return gray
    kept = keep.nonzero().flatten().tolist()
    crops = torch.split(gray.crops, [len(boxes) for boxes in gray.boxes])
    return replace(
        gray,
        key=tuple(gray.key[picture] for picture in kept),
        light=gray.light[kept],
        boxes=tuple(gray.boxes[picture] for picture in kept),
        crops=torch.cat([crops[picture] for picture in kept]),
        guide=None if gray.guide is None else gray.guide[kept],
    )


def _groups(counts: Sequence[int], most: int) -> Iterator[list[int]]:
    """Gather the pictures that have boxes into groups of at most so many boxes, or of one picture that has more."""
    group: list[int] = []
    held = 0
    for picture, count in enumerate(counts):
        if count == 0:
            continue
        if group and held + count > most:
            yield group
            group, held = [], 0
        group.append(picture)
        held += count
    if group:
        yield group
