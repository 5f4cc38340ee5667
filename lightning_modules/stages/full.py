"""Stage 1 of Su et al. 2020: a network that colours the whole picture."""

from collections.abc import Mapping

from torch import Tensor, nn

from datamodules.types import ColorBatch, GrayBatch
from lightning_modules.base import Colorizer
from lightning_modules.losses.huber import HuberLoss, colorful, mean_over


class FullColorizer(Colorizer):
    """Colour whole pictures with one network that looks at no boxes.

    Args:
        full: light (B, 1, H, W) to chroma (B, 2, H, W) in CIE units, as `SiggraphNet`.
        loss: chroma and truth to a scalar; the authors' `HuberLoss` where none is given.
        input_size: side in pixels of the light that the network sees.
        learning_rate: of Adam.
    """

    def __init__(
        self,
        *,
        full: nn.Module,
        loss: nn.Module | None = None,
        input_size: int | None = 256,
        learning_rate: float = 5e-4,
    ) -> None:
        super().__init__(input_size=input_size, learning_rate=learning_rate)
        self.full = full
        self.objective = loss or HuberLoss()

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the one network."""
        return {"full": self.full}

    def colorize(self, gray: GrayBatch) -> Tensor:
        """Colour the light; boxes are not looked at."""
        chroma: Tensor = self.full(gray.light)
        return chroma

    def counted(self, batch: ColorBatch) -> int:
        """Return how many pictures of the batch are not grey."""
        return int(colorful(batch.chroma).sum())

    def loss(self, batch: ColorBatch) -> dict[str, Tensor]:
        """Return the loss over the pictures of the batch that are not grey."""
        return {"loss": mean_over(self.objective, colorful(batch.chroma), self(batch.gray), batch.chroma)}
