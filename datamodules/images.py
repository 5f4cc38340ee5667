"""The one image decoder: files to 8-bit sRGB arrays, by Pillow, and by none of its functions that others replace."""

import os
import re
import stat
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path, PurePath, PurePosixPath
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from datamodules.naming import named_key

MAX_PIXELS = 89_478_485
"""Largest picture that is decoded; Pillow's own limit for a decompression bomb."""

MAX_BYTES = 2**30
"""Largest file that is read: more than `MAX_PIXELS` of 16-bit colour with alpha take without any compression."""

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jfif", ".mpo", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
)
"""Ends of file names that count as pictures, in lower case."""

# Formats that need a helper program (EPS) or can hold anything (WMF, PDF) are no pictures here.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")

ORIENTATION_TAG = 0x0112
ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TURNED = frozenset({5, 6, 7, 8})
"""Orientations that change height and width for each other."""


class ImageError(Exception):
    """Say why a picture cannot be used.

    Args:
        reason: for people, without the file's path.
        status: of the picture's row, `error-decode` or `error-size`.
    """

    def __init__(self, reason: str, status: str = "error-decode") -> None:
        super().__init__(reason, status)
        self.reason = reason
        self.status = status

    def __str__(self) -> str:
        return self.reason


def read_image(path: Path, *, max_pixels: int = MAX_PIXELS, root: Path | None = None) -> NDArray[np.uint8]:
    """Decode a picture file.

    Convention:
        The EXIF rotation is applied. Of animations and multi-picture files the first frame is taken. Transparency, in
        an alpha channel or a palette, is laid over white. 16-bit grey is divided by 257 and rounded; 16-bit colour is
        cut to its upper 8 bits by Pillow. Grey is replicated to three channels. CMYK, YCbCr and L*a*b* are converted by
        Pillow; colour profiles are not applied. Floating-point pictures have no agreed range and are refused, as are
        32-bit integers that exceed 16 bits.

    Args:
        path: a regular file, or a link to one.
        max_pixels: width times height that is still decoded.
        root: a folder that `path` must not leave by links; None allows any.

    Returns:
        (H, W, 3) uint8, R G B.

    Raises:
        ImageError: `error-size` above `max_pixels` or `MAX_BYTES`; `error-decode` for all that is no readable picture.
    """
    with open_file(path, root) as file:
        return read_open(file, max_pixels)


def read_open(file: IO[bytes], max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode an open file as `read_image` does."""
    with strict_pillow():
        return decode(file, max_pixels)


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Let Pillow refuse truncated pictures, whatever another package told it, and keep its warnings to itself.

    Raises:
        ImageError: Instead of all that Pillow raises.
    """
    lenient = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImageError:
        raise
    except Exception as error:  # a broken file makes Pillow's plug-ins raise nearly anything
        raise ImageError(f"the file is broken: {str(error) or type(error).__name__}") from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def open_file(path: Path, root: Path | None = None) -> BufferedReader:
    """Open a regular file for reading; never waits on a pipe nor touches a device.

    Raises:
        ImageError: The file is missing, unreadable, no regular file, outside of `root`, or too large.
    """
    try:
        if root is not None and not path.resolve(strict=True).is_relative_to(root.resolve()):
            raise ImageError("the file is a link that leaves the data folder")
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, RuntimeError, ValueError) as error:
        raise ImageError(f"the file cannot be opened: {reason_of(error)}") from error
    try:
        check_kind(os.fstat(handle))
    except ImageError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def check_kind(facts: os.stat_result) -> None:
    """Refuse what is no regular file, or one of more bytes than any picture that is decoded can have."""
    if not stat.S_ISREG(facts.st_mode):
        raise ImageError("this is a folder, a pipe or a device, not a file")
    if facts.st_size > MAX_BYTES:
        raise ImageError(f"{facts.st_size} bytes are more than the {MAX_BYTES} allowed", "error-size")


def reason_of(error: Exception) -> str:
    """Return an error's text without the path that the system puts into it."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "a link that leads to itself" if isinstance(error, RuntimeError) else str(error)


def measure_image(path: Path, *, max_pixels: int = MAX_PIXELS, root: Path | None = None) -> tuple[int, int]:
    """Return (height, width) of a picture after its EXIF rotation from the head of its file, without decoding it.

    Convention:
        A PNG may name its rotation behind its pixels: that is not seen here, but by `read_image`.

    Raises:
        ImageError: As `read_image` does, of a file whose head is broken.
    """
    with open_file(path, root) as file, strict_pillow(), identify(file) as picture:
        check_pixels(picture, max_pixels)
        # Pillow turns a TIFF by itself, and gives its size so
        turned = picture.format != "TIFF" and orientation(picture, whole=False) in TURNED
        return (picture.width, picture.height) if turned else (picture.height, picture.width)


def check_pixels(picture: Image.Image, max_pixels: int) -> None:
    """Refuse a picture of more than `max_pixels`."""
    width, height = picture.size
    if width * height > max_pixels:
        raise ImageError(f"{width} x {height} pixels are more than the {max_pixels} allowed", "error-size")


def decode(file: IO[bytes], max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode an open file; errors of Pillow pass through."""
    with identify(file) as picture:
        check_pixels(picture, max_pixels)
        picture.load()
        turn = ORIENTATIONS.get(orientation(picture))
        upright = picture if turn is None else picture.transpose(turn)
        return np.array(to_rgb(upright), dtype=np.uint8)


def identify(file: IO[bytes]) -> ImageFile.ImageFile:
    """Return the picture in an open file, not yet decoded.

    Asks Pillow's plug-ins themselves: ultralytics replaces `PIL.Image.open` by a function that starts pip.
    """
    Image.init()
    prefix = file.read(16)
    if not prefix:
        raise ImageError("the file is empty")
    for name in FORMATS:
        factory, accept = Image.OPEN[name]
        file.seek(0)
        if accept is None or accept(prefix) is True:
            return factory(file, "")
    raise ImageError(f"the file is no picture of a known format ({', '.join(FORMATS)})")


def orientation(picture: Image.Image, *, whole: bool = True) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where the picture has none or its EXIF data are broken.

    `whole`: look behind the pixels too, for which Pillow decodes a PNG.
    """
    try:
        exif = picture.getexif() if whole else Image.Image.getexif(picture)
        value = exif.get(ORIENTATION_TAG, 1)
    except Exception:  # viewers show a picture with broken EXIF data as it is stored
        return 1
    return value if isinstance(value, int) else 1


def read_indices(path: Path, *, max_pixels: int = MAX_PIXELS, root: Path | None = None) -> NDArray[np.uint8]:
    """Decode a picture whose pixels are numbers, not colours: the palette indices or grey levels of a label map.

    Returns:
        (H, W) uint8.

    Raises:
        ImageError: As `read_image`, or the picture has colours.
    """
    with open_file(path, root) as file, strict_pillow(), identify(file) as picture:
        check_pixels(picture, max_pixels)
        if picture.mode not in ("P", "L"):
            raise ImageError(
                f"a label map has a palette or grey levels of 8 bits, but this one has mode {picture.mode}"
            )
        return np.array(picture, dtype=np.uint8)


def to_rgb(picture: Image.Image) -> Image.Image:
    """Convert a decoded picture of any mode to 8-bit RGB by the rules of `read_image`."""
    if picture.mode == "F":
        raise ImageError("floating-point pictures have no agreed range; store 8 or 16 bits")
    if picture.mode == "I" or picture.mode.startswith("I;"):
        return sixteen_to_eight(picture).convert("RGB")
    if picture.has_transparency_data:
        straight = picture.convert("LA" if picture.mode == "La" else "RGBA").convert("RGBA")
        white = Image.new("RGBA", straight.size, "white")
        return Image.alpha_composite(white, straight).convert("RGB")
    return picture.convert("RGB")


def sixteen_to_eight(picture: Image.Image) -> Image.Image:
    """Scale a 16-bit grey picture to 8 bits, by 1/257 and rounded."""
    values = np.asarray(picture)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError("32-bit pictures have no agreed range; store 8 or 16 bits")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def find_images(root: Path, leave_out: Collection[str] = (), named: str | None = None) -> dict[str, Path]:
    """Find all pictures below a folder, by the suffix of their names.

    Hidden files and folders are left out. Linked folders are not searched: one that leads out of `root` is listed
    itself, so that it becomes an error row, and one that stays inside holds only what is listed elsewhere.

    Args:
        root: the folder.
        leave_out: keys that are not wanted.
        named: how files are called after their pictures, see `named_key`; those that are not are left out. None for
            the pictures' own names.

    Returns:
        Paths by key, sorted by key: the path relative to `root` without its suffix, `/` between folders, as
        `printable_name` writes it.

    Raises:
        ValueError: Two files have one key.
        FileNotFoundError: `root` is no folder.
    """
    found = {key: paths for key, paths in group_images(root, named).items() if key not in leave_out}
    for key, paths in found.items():
        if len(paths) > 1:
            names = " and ".join(printable_name(path.name) for path in paths[:2])
            raise ValueError(f"{names} are both the picture {key!r}: remove or rename one")
    return {key: paths[0] for key, paths in found.items()}


def group_images(root: Path, named: str | None = None) -> dict[str, list[Path]]:
    """Find what `find_images` finds, but with all files that have one key.

    Raises:
        FileNotFoundError: `root` is no folder.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    found: dict[str, list[Path]] = {}
    for path in walk(root):
        own = path_to_key(printable_name(path.relative_to(root)))
        key = own if named is None else named_key(own, named)
        if key is not None:
            found.setdefault(key, []).append(path)
    return {key: sorted(found[key]) for key in sorted(found)}


def printable_name(path: str | PurePath) -> str:
    r"""Return a path, `/` between folders, as text that can be printed, written as UTF-8 and read on any system.

    Convention:
        On Unix a file name is bytes. Those that are not UTF-8, and the backslash, which parts folders elsewhere, become
        `%` and two hexadecimal digits, so that such a picture is read like any other.

    Examples:
        >>> printable_name(os.fsdecode(b"caf\xe9.png"))
        'caf%E9.png'
    """
    name = PurePath(path).as_posix()
    return re.sub(r"[\\\udc80-\udcff]", lambda character: f"%{ord(character[0]) & 0xFF:02X}", name)


def path_to_key(name: str) -> str:
    """Return a relative file name without the suffix of a picture.

    Examples:
        >>> path_to_key("zebra/0001.v2.JPG"), path_to_key("zebra/0001.v2")
        ('zebra/0001.v2', 'zebra/0001.v2')
    """
    suffix = PurePosixPath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in SUFFIXES else name


def walk(root: Path) -> Iterator[Path]:
    """Yield the pictures below a folder, and the linked folders that leave it."""
    outer = root.resolve()
    for folder, folders, files in os.walk(root):
        for name in files:
            path = Path(folder, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                yield path
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            path = Path(folder, name)
            if path.is_symlink() and not path.resolve().is_relative_to(outer):
                yield path
