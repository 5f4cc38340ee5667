"""The discriminator that judges a picture patch by patch, of 70 x 70 pixels each."""

from torch import Tensor, nn
from torch.nn.utils import parametrizations

from lightning_modules.networks.width import scaled

SLOPE = 0.2
"""Of the leaky ReLUs."""

SPREAD = 0.02
"""Standard deviation of the weights that training begins from."""


class PatchDiscriminator(nn.Module):
    """Answer for each patch of 70 x 70 pixels whether it is real, as logits.

    Five 4 x 4 convolutions, the first three of stride 2; a leaky ReLU follows each but the last, no norm any.

    Args:
        in_channels: of what is judged: the picture, and what it was made from where that is to be seen.
        width: multiplies the channel counts, 1 is the published size; the one channel of the answer stays.
        spectral_norm: divide each convolution's weights by their largest singular value, estimated by one step of the
            power method at each call in training; such convolutions have no bias.

    Source:
        EdgeConnect (Nazeri et al. 2019), section 3, and the discriminator in the authors' repository.
    """

    def __init__(self, in_channels: int, width: float = 1.0, spectral_norm: bool = True) -> None:
        super().__init__()
        channels = [in_channels, *(scaled(count, width) for count in (64, 128, 256, 512)), 1]
        layers = []
        for inputs, outputs, stride in zip(channels, channels[1:], (2, 2, 2, 1, 1), strict=False):
            convolution = nn.Conv2d(inputs, outputs, 4, stride, padding=1, bias=not spectral_norm)
            nn.init.normal_(convolution.weight, std=SPREAD)
            if convolution.bias is not None:
                nn.init.zeros_(convolution.bias)
            layers.append(parametrizations.spectral_norm(convolution) if spectral_norm else convolution)
        self.layers = nn.ModuleList(layers)

    def forward(self, picture: Tensor) -> list[Tensor]:
        """Return the maps of all layers.

        Args:
            picture: (B, in_channels, H, W), of 24 pixels a side at least.

        Returns:
            Five maps after their leaky ReLU; the last, (B, 1, H / 8 - 2, W / 8 - 2), is the answer: logits.
        """
        maps: list[Tensor] = []
        for layer in self.layers[:-1]:
            picture = nn.functional.leaky_relu(layer(picture), SLOPE)
            maps.append(picture)
        return [*maps, self.layers[-1](picture)]
