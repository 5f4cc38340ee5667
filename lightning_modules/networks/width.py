"""How wide the small variants of a network are."""

LEAST_CHANNELS = 4
MOST_WIDTH = 4.0


def scaled(channels: int, width: float) -> int:
    """Return a channel count times `width`, rounded, and never fewer than 4.

    Raises:
        ValueError: `width` is not in (0, 4]: it multiplies the published channels, it does not count them.

    >>> scaled(512, 0.125), scaled(64, 1.0), scaled(64, 0.01)
    (64, 64, 4)
    """
    if not 0 < width <= MOST_WIDTH:
        raise ValueError(f"width is {width}: it multiplies the published channels, give a number above 0 and up to 4")
    return max(LEAST_CHANNELS, round(channels * width))
