"""Procedural scenes: textured objects on textured ground, where texture tells the hue and lightness does not.

A scene is laid out in units of 1/256 of its side, so that one scene can be drawn at any size. Nothing but sums,
products, quotients, square roots and rounding in float64 is done to pixels, so that all machines draw the same picture.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VERSION = 1
"""Of the generator: any change of a picture is a new version."""

UNITS = 256
Plane = NDArray[np.float64]

GROUND_HUES = {"bricks": 40.0, "dunes": 85.0, "meadow": 132.0, "scales": 195.0, "sea": 262.0, "quilt": 325.0}
"""Scene types, which are the picture labels in this order, and the hue in degrees of the L*a*b* plane of each."""

TEXTURE_HUES = {"barred": 25.0, "checkered": 85.0, "dotted": 145.0, "hatched": 205.0, "ringed": 265.0, "striped": 325.0}
"""Textures of objects, with the hue that each means."""

SHAPE_TURNS = {"disc": 0.0, "square": 18.0, "triangle": -18.0}
"""Shapes of objects, with the degrees by which each turns the hue of its texture."""

CATEGORIES = {
    1001 + i: f"{texture} {shape}"
    for i, (texture, shape) in enumerate((texture, shape) for texture in TEXTURE_HUES for shape in SHAPE_TURNS)
}
"""Names of the kinds of objects by category id."""


@dataclass(frozen=True, slots=True)
class Thing:
    """Place one object; lengths in units.

    Attributes:
        x, y: centre.
        radius: of the circle around the shape.
        shape, texture: names in `SHAPE_TURNS` and `TEXTURE_HUES`.
        lean: slope by which squares and triangles are turned, in [-0.4, 0.4].
        period: of the texture.
        phase: of the texture, in periods.
        light: mean L*.
        contrast: amplitude of the texture in L*.
        chroma: C* that the object has at L* = 60.
        hue: in degrees.
    """

    x: float
    y: float
    radius: float
    shape: str
    texture: str
    lean: float
    period: float
    phase: float
    light: float
    contrast: float
    chroma: float
    hue: float

    @property
    def category_id(self) -> int:
        """The number of the object's kind in `CATEGORIES`."""
        return 1001 + list(TEXTURE_HUES).index(self.texture) * len(SHAPE_TURNS) + list(SHAPE_TURNS).index(self.shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """Hold all that was drawn by lot for a scene; things in the order in which they are painted."""

    ground: str
    things: tuple[Thing, ...]
    light: float
    contrast: float
    chroma: float
    hue: float
    scale: float
    phases: tuple[float, ...]
    relief: Plane
    pebbles: Plane


class Lots:
    """Draw numbers by lot, from the uniform stream of PCG64 alone.

    Args:
        seed: of the set of scenes.
        path: split and index of the scene.
    """

    def __init__(self, seed: int, path: tuple[int, ...]) -> None:
        self.generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=path)))

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * float(self.generator.random())

    def choose(self, names: list[str]) -> str:
        """Return one of the names."""
        return names[int(self.generator.random() * len(names))]

    def plane(self, rows: int, columns: int) -> Plane:
        """Return (rows, columns) numbers in [-1, 1)."""
        return self.generator.random((rows, columns)) * 2 - 1


def draw_layout(seed: int, path: tuple[int, ...]) -> Layout:
    """Draw all lots of a scene; equal arguments give equal scenes, and other ones independent scenes."""
    lots = Lots(seed, path)
    ground = lots.choose(list(GROUND_HUES))
    return Layout(
        ground=ground,
        light=lots.between(44, 62),
        contrast=lots.between(8, 13),
        chroma=lots.between(46, 56),
        hue=GROUND_HUES[ground] + lots.between(-6, 6),
        scale=lots.between(0.85, 1.2),
        phases=tuple(lots.between(0, 1) for _ in range(4)),
        relief=lots.plane(7, 7),
        pebbles=(lots.plane(18, 4) + 1) / 2,
        things=draw_things(lots, 6 + int(lots.between(0, 9))),
    )


def draw_things(lots: Lots, count: int) -> tuple[Thing, ...]:
    """Draw `count` objects by lot, large ones first, so that small ones lie on top."""
    things = (draw_thing(lots) for _ in range(count))
    return tuple(sorted(things, key=lambda thing: -thing.radius))


def draw_thing(lots: Lots) -> Thing:
    """Draw one object by lot. Its lightness knows nothing of its hue."""
    radius = 10.5 + 19.5 * lots.between(0, 1) ** 2
    texture, shape = lots.choose(list(TEXTURE_HUES)), lots.choose(list(SHAPE_TURNS))
    edge = 0.7 * radius
    return Thing(
        x=lots.between(edge, UNITS - edge),
        y=lots.between(edge, UNITS - edge),
        radius=radius,
        shape=shape,
        texture=texture,
        lean=lots.between(-0.4, 0.4),
        period=lots.between(3.8, 4.6),
        phase=lots.between(0, 1),
        light=lots.between(42, 64),
        contrast=lots.between(11, 15),
        chroma=lots.between(50, 60),
        hue=TEXTURE_HUES[texture] + SHAPE_TURNS[shape] + lots.between(-4, 4),
    )


def wave(t: Plane) -> Plane:
    """Return parabolas that look like a sine of period 1, in [-1, 1]."""
    q = t - np.floor(t) - 0.5
    return 16 * q * (np.abs(q) - 0.5)


def smooth_noise(grid: Plane, size: int) -> Plane:
    """Stretch a grid of lots to (size, size) with smooth steps between its points."""
    place = (np.arange(size) + 0.5) / size * (len(grid) - 1)
    low = np.floor(place).astype(np.int64)
    part = place - low
    part = part * part * (3 - 2 * part)
    rows = grid[low] * (1 - part[:, None]) + grid[low + 1] * part[:, None]
    return rows[:, low] * (1 - part) + rows[:, low + 1] * part


def bricks(x: Plane, y: Plane, noise: Plane, phases: tuple[float, ...]) -> Plane:
    """Courses of bricks, bright mortar between them."""
    course = np.floor(y / 20 + phases[0])
    along = x / 40 + phases[1] + 0.5 * (course % 2)
    low = y / 20 + phases[0] - course
    side = along - np.floor(along)
    mortar = np.minimum(np.minimum(low, 1 - low) * 20, np.minimum(side, 1 - side) * 40)
    tone = wave(np.floor(along) * 0.37 + course * 0.61) * 0.5
    return np.where(mortar < 2.2, 1.5, tone - 0.3)


def dunes(x: Plane, y: Plane, noise: Plane, phases: tuple[float, ...]) -> Plane:
    """Broad ridges that run aslant, steep on one side."""
    t = (y + 0.45 * x) / 52 + 0.5 * noise + phases[0]
    ridge = t - np.floor(t)
    return np.where(ridge < 0.75, ridge / 0.75, (1 - ridge) / 0.25) * 2.2 - 1.1


def meadow(x: Plane, y: Plane, noise: Plane, phases: tuple[float, ...]) -> Plane:
    """Upright tufts in ragged rows."""
    blades = wave(x / 15 + 0.7 * noise + phases[0] + 0.5 * np.floor(y / 26 + phases[1]))
    row = y / 26 + phases[1]
    return blades * (1.3 - 1.1 * (row - np.floor(row))) + 0.2 * wave(x / 47 + y / 39 + phases[2])


def scales(x: Plane, y: Plane, noise: Plane, phases: tuple[float, ...]) -> Plane:
    """Rows of overlapping round scales, dark at their rims."""
    row = np.floor(y / 15 + phases[0])
    along = x / 30 + phases[1] + 0.5 * (row % 2)
    u = (along - np.floor(along) - 0.5) * 2
    v = y / 15 + phases[0] - row
    reach = np.sqrt(u * u + v * v)
    return np.where(reach > 1, reach - 1.9, 1.1 - 1.6 * reach * reach * reach)


def sea(x: Plane, y: Plane, noise: Plane, phases: tuple[float, ...]) -> Plane:
    """Level waves that swing a little."""
    swing = 0.22 * wave(x / 70 + phases[0]) + 0.35 * noise
    return wave(y / 19 + swing + phases[1]) + 0.3 * wave(x / 31 + y / 60 + phases[2])


def quilt(x: Plane, y: Plane, noise: Plane, phases: tuple[float, ...]) -> Plane:
    """Diamonds in two tones with a seam around them."""
    p, q = (x + y) / 38 + phases[0], (x - y) / 38 + phases[1]
    tone = np.where((np.floor(p) + np.floor(q)) % 2 < 1, 0.8, -0.8)
    a, b = p - np.floor(p), q - np.floor(q)
    seam = np.minimum(np.minimum(a, 1 - a), np.minimum(b, 1 - b))
    return np.where(seam < 0.07, -1.4, tone)


GROUNDS: dict[str, Callable[[Plane, Plane, Plane, tuple[float, ...]], Plane]] = {
    "bricks": bricks, "dunes": dunes, "meadow": meadow, "scales": scales, "sea": sea, "quilt": quilt,
}  # fmt: skip
"""How each ground looks: relief of about [-1, 1] from x and y in units, noise and phases."""
