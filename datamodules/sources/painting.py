"""Paint a laid-out scene: its picture, and which pixel belongs to which object."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from datamodules.sources.scenes import GROUNDS, UNITS, Layout, Plane, Thing, smooth_noise, wave

LEVELS = 65535
NOBODY = -1


@dataclass(frozen=True, slots=True)
class Patch:
    """Hold the part of a picture that an object may touch.

    Attributes:
        rows, columns: of the picture.
        u, v: (h, w) distance from the object's centre, to the right and down, in units.
        cover: (h, w) share of each pixel that lies in the object, in [0, 1].
    """

    rows: slice
    columns: slice
    u: Plane
    v: Plane
    cover: Plane


def touched(middle: float, reach: float, size: int) -> slice:
    """Return which of `size` pixels lie within `reach` of `middle`, both in units."""
    unit = UNITS / size
    return slice(max(0, math.floor((middle - reach) / unit)), min(size, math.ceil((middle + reach) / unit)))


def centres(pixels: slice, unit: float) -> Plane:
    """Return the middles of some pixels in units."""
    return (np.arange(pixels.start, pixels.stop, dtype=np.float64) + 0.5) * unit


def outline(thing: Thing, u: Plane, v: Plane) -> Plane:
    """Return how far inside of the object each point lies, in units; negative outside."""
    if thing.shape == "disc":
        return 0.94 * thing.radius - np.sqrt(u * u + v * v)
    norm = math.sqrt(1 + thing.lean * thing.lean)
    p, q = (u + thing.lean * v) / norm, (v - thing.lean * u) / norm
    if thing.shape == "square":
        return 0.8 * thing.radius - np.maximum(np.abs(p), np.abs(q))
    slant = (0.87 * np.abs(p) - 0.5 * q) - 0.56 * thing.radius
    return -np.maximum(slant, q - 0.62 * thing.radius)


def cut_patch(thing: Thing, size: int) -> Patch:
    """Return the part of a picture of `size` pixels that the object touches, with its cover."""
    unit = UNITS / size
    reach = thing.radius + 2 * unit
    rows, columns = touched(thing.y, reach, size), touched(thing.x, reach, size)
    u, v = np.meshgrid(centres(columns, unit) - thing.x, centres(rows, unit) - thing.y)
    return Patch(rows, columns, u, v, np.clip(outline(thing, u, v) / unit + 0.5, 0, 1))


def own_pixels(layout: Layout, size: int) -> tuple[NDArray[np.int8], tuple[int, ...]]:
    """Return whose each pixel is.

    Returns:
        (size, size) number of the uppermost object that covers at least half of the pixel, -1 for the ground; and of
        each object the number of pixels that it would own if nothing lay on it.
    """
    owner = np.full((size, size), NOBODY, dtype=np.int8)
    areas = []
    for number, thing in enumerate(layout.things):
        patch = cut_patch(thing, size)
        inside = patch.cover >= 0.5
        owner[patch.rows, patch.columns][inside] = number
        areas.append(int(np.count_nonzero(inside)))
    return owner, tuple(areas)


def texture(thing: Thing, u: Plane, v: Plane) -> Plane:
    """Return the object's texture, about [-1, 1]; u and v in units from its centre."""
    s, t = u / thing.period + thing.phase, v / thing.period + thing.phase
    if thing.texture == "barred":
        return wave(t)
    if thing.texture == "striped":
        return wave(s)
    if thing.texture == "hatched":
        return wave((s + t) * 0.71)
    if thing.texture == "ringed":
        return wave(np.sqrt(u * u + v * v) / thing.period + thing.phase)
    across, down = wave(s * 0.71), wave(t * 0.71)
    if thing.texture == "checkered":
        checks: Plane = np.clip(3 * across * down, -1, 1)
        return checks
    dots: Plane = np.clip(3 * np.minimum(across, down), -0.5, 1.5)
    return dots


def paint(layout: Layout, size: int) -> NDArray[np.uint8]:
    """Return the scene as (size, size, 3) uint8 sRGB."""
    light, tint = paint_ground(layout, size)
    for thing in layout.things:
        lay_shadow(thing, light)
        paint_thing(thing, light, tint)
    return develop(np.clip(light, 12, 92), tint)


def paint_ground(layout: Layout, size: int) -> tuple[Plane, Plane]:
    """Return L* (size, size) and tint (3, size, size) of the ground with its pebbles."""
    unit = UNITS / size
    line = centres(slice(0, size), unit)
    x, y = line[None, :] * layout.scale, line[:, None] * layout.scale
    noise = smooth_noise(layout.relief, size)
    relief = GROUNDS[layout.ground](x, y, noise, layout.phases)
    light = layout.light + layout.contrast * relief + 5 * noise + (line[None, :] - line[:, None]) * (6 / UNITS)
    for px, py, dark, wide in layout.pebbles:
        lay_pebble(light, px * UNITS, py * UNITS, 2.5 + 4 * wide, 26 * dark - 13)
    tint = np.empty((3, size, size))
    tint[:] = hue_to_tint(layout.hue, layout.chroma)[:, None, None]
    return light, tint


def lay_pebble(light: Plane, x: float, y: float, radius: float, step: float) -> None:
    """Make a small disc of the ground lighter or darker; all lengths in units."""
    unit = UNITS / len(light)
    rows, columns = touched(y, radius, len(light)), touched(x, radius, len(light))
    u, v = np.meshgrid(centres(columns, unit) - x, centres(rows, unit) - y)
    inside = radius - np.sqrt(u * u + 1.5 * v * v)
    light[rows, columns] += step * np.clip(inside / unit, 0, 1)


def lay_shadow(thing: Thing, light: Plane) -> None:
    """Darken what lies right below the object."""
    patch = cut_patch(thing, len(light))
    soft = np.clip(outline(thing, patch.u - 2.5, patch.v - 2.5) / 5 + 0.5, 0, 1)
    light[patch.rows, patch.columns] -= 11 * soft


def paint_thing(thing: Thing, light: Plane, tint: Plane) -> None:
    """Lay the object over light and tint, which are changed in place."""
    patch = cut_patch(thing, len(light))
    rim = np.clip(outline(thing, patch.u, patch.v) / 1.6, 0, 1)
    gloss = -(patch.u + patch.v) * (4 / thing.radius)
    own = thing.light + gloss + thing.contrast * texture(thing, patch.u, patch.v) * rim - 14 * (1 - rim)
    window = patch.rows, patch.columns
    light[window] += (own - light[window]) * patch.cover
    color = hue_to_tint(thing.hue, thing.chroma)
    tint[:, patch.rows, patch.columns] += (color[:, None, None] - tint[:, patch.rows, patch.columns]) * patch.cover


def hue_to_tint(hue: float, chroma: float) -> Plane:
    """Return the linear RGB of luminance 1 whose C* at L* = 60 is `chroma`, as (3,).

    A surface keeps this tint under any light: its a* and b* grow and shrink with L* + 16.
    """
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    y = (60 + 16) / 116
    x, z = ((y + a / 500) / y) ** 3 * 0.95047, ((y - b / 200) / y) ** 3 * 1.08883
    return np.array(
        [
            3.24048134 * x - 1.53715152 - 0.49853633 * z,
            -0.96925495 * x + 1.87599 + 0.04155593 * z,
            0.05564664 * x - 0.20404134 + 1.05731107 * z,
        ]
    )


def develop(light: Plane, tint: Plane) -> NDArray[np.uint8]:
    """Return the (H, W, 3) uint8 sRGB picture of L* (H, W) above 8 and tint (3, H, W).

    A colour out of gamut is mixed with the grey of its own lightness until it is within.
    """
    root = (light + 16) / 116
    luminance = root * root * root
    offset = tint - 1
    bright = (1 / luminance - 1) / np.maximum(offset.max(axis=0), 1e-9)
    dark = -1 / np.minimum(offset.min(axis=0), -1e-9)
    linear = luminance * (1 + offset * np.minimum(np.minimum(bright, dark), 1))
    codes = np.clip(np.floor(linear * LEVELS + 0.5), 0, LEVELS).astype(np.uint16)
    return np.ascontiguousarray(gamma_table()[codes].transpose(1, 2, 0))


@cache
def gamma_table() -> NDArray[np.uint8]:
    """Return the sRGB codes of all 65 536 levels of linear light."""
    linear = np.arange(LEVELS + 1) / LEVELS
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    table: NDArray[np.uint8] = np.rint(curved * 255).astype(np.uint8)
    return table
