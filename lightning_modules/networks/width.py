"""How wide the small variants of a network are."""

LEAST_CHANNELS = 4


def scaled(channels: int, width: float) -> int:
    """Return a channel count times `width`, rounded, and never fewer than 4.

    >>> scaled(512, 0.125), scaled(64, 1.0), scaled(64, 0.01)
    (64, 64, 4)
    """
    return max(LEAST_CHANNELS, round(channels * width))
