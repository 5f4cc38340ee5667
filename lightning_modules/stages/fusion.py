"""Stage 3 of Su et al. 2020: instance features are blended into those of the picture before it is coloured."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from datamodules.types import ColorBatch, GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.losses.huber import HuberLoss, colorful, mean_over
from lightning_modules.networks.fusion import TRAINED, FusionNet
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
    ) -> None:
        super().__init__(input_size=input_size, crop_size=crop_size, learning_rate=learning_rate)
        self.full = full.requires_grad_(False)
        self.instance = instance.requires_grad_(False)
        self.fusion = fusion.requires_grad_(False)
        for name in TRAINED:
            fusion.get_submodule(name).requires_grad_(True)
        self.objective = loss or HuberLoss()
        self.chunk = chunk
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
            ValueError: The batch has another number of crops than of boxes.
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
            parts.append(self.fusion(gray.light[group], [gray.boxes[picture] for picture in group], features))
            order += group
        back = torch.tensor(order, device=gray.light.device).argsort()
        return torch.cat(parts)[back]

    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        """Return the loss over the pictures of the batch that are not grey.

        In training only pictures with boxes count: `full`, which colours the others, learns nothing here.
        """
        keep = colorful(batch.chroma)
        if self.training:
            keep &= torch.tensor([len(boxes) > 0 for boxes in batch.gray.boxes], device=keep.device)
            if not keep.any():
                return {"loss": idle_loss(self.fusion)}
        return {"loss": mean_over(self.objective, keep, self(batch.gray), batch.chroma)}

    @torch.no_grad()
    def _features(self, crops: Tensor, at_once: int) -> dict[str, Tensor]:
        """Return the feature maps of crops, which take no gradient."""
        parts = [self.instance.features(part) for part in torch.split(crops, at_once)]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


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
