"""Hostile pictures and names, made on the spot and never stored: `python tests/faults/corpus.py FOLDER` shows them.

Each entry says which row it must become, and why it is there. A status of None means that the file is not listed.
"""

import io
import os
import socket
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

OK, GRAY, DECODE, SIZE = "ok", "gray-truth", "error-decode", "error-size"
ROOT_READS_ALL = hasattr(os, "geteuid") and os.geteuid() == 0
WIDTH, HEIGHT = 24, 20


@dataclass(frozen=True)
class Hostile:
    """Name one file below the corpus' folder.

    Attributes:
        name: relative, as the system has it.
        make: writes the file at a path.
        status: of its row; None where it is no picture by its name.
        why: what it is there for.
        key: of its row, where that is not the name without its suffix.
        size: (width, height) that the decoded picture must have.
    """

    name: str
    make: Callable[[Path], object]
    status: str | None
    why: str
    key: str = ""
    size: tuple[int, int] | None = None

    @property
    def image(self) -> str:
        """The row's `image`."""
        return self.key or self.name.rpartition(".")[0]


@cache
def colours() -> Image.Image:
    """Return a small picture that is not grey."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))


def data(kind: str, picture: Image.Image | None = None, **settings: object) -> bytes:
    """Return a picture as the bytes of a file."""
    memory = io.BytesIO()
    (picture or colours()).save(memory, kind, **settings)
    return memory.getvalue()


def write(content: bytes) -> Callable[[Path], object]:
    """Return a function that writes these bytes."""
    return lambda path: path.write_bytes(content)


def link(target: str) -> Callable[[Path], object]:
    """Return a function that makes a link."""
    return lambda path: path.symlink_to(target)


def link_out(path: Path) -> None:
    """Link to a good picture outside of the folder."""
    outside = path.parent.parent / f"outside-{path.name}"
    outside.write_bytes(data("PNG"))
    path.symlink_to(outside)


def listen(path: Path) -> None:
    """Leave a socket's name; bound by its short name, since the length of a socket's path is limited."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(before)


def unreadable(path: Path) -> None:
    """Write a good picture that nobody but root may read."""
    path.write_bytes(data("PNG"))
    path.chmod(0)


def sparse(path: Path) -> None:
    """Write a file of a terabyte that takes no room; reading all of it would take an hour."""
    with path.open("wb") as file:
        file.write(b"RIFF\0\0\0\0WEBPVP8 ")
        file.truncate(2**40)


def folder(path: Path) -> None:
    """Make a folder with a good picture."""
    path.mkdir()
    (path / "inside.png").write_bytes(data("PNG"))


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a PNG chunk with its right check sum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *, stream: bytes | None = None, extra: bytes = b"", depth: int = 8) -> bytes:
    """Return a PNG of the given size that holds `stream` as its pixels, zeros where None."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))
    pixels = bytes((width * 3 + 1) * height) if stream is None else stream
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def packed_text(kind: bytes, length: int) -> bytes:
    """Return a compressed chunk that grows to `length` bytes."""
    return chunk(kind, b"name\0\0" + zlib.compress(bytes(length), 9))


def jpeg_of(width: int, height: int) -> bytes:
    """Return a JPEG whose header claims another size."""
    content = data("JPEG")
    start = content.index(b"\xff\xc0") + 5
    return content[:start] + struct.pack(">HH", height, width) + content[start + 4 :]


def bmp_of(width: int, height: int) -> bytes:
    """Return a BMP whose header claims another size."""
    content = data("BMP")
    return content[:18] + struct.pack("<ii", width, height) + content[26:]


def gif_of(width: int, height: int) -> bytes:
    """Return a GIF whose canvas claims another size."""
    content = data("GIF")
    return content[:6] + struct.pack("<HH", width, height) + content[10:]


def webp_of(width: int, height: int) -> bytes:
    """Return a WebP whose canvas claims another size."""
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (width - 1).to_bytes(3, "little")
    body += (height - 1).to_bytes(3, "little") + data("WEBP", lossless=True)[12:]
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def tiff_of(*tags: tuple[int, int]) -> bytes:
    """Return a TIFF of grey pixels whose directory has these numbers; its next directory is itself."""
    strip = bytes(range(WIDTH)) * HEIGHT
    usual = {256: WIDTH, 257: HEIGHT, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: HEIGHT, 279: len(strip)}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted((usual | dict(tags)).items())]
    head = struct.pack("<2sHI", b"II", 42, 8 + len(strip))
    directory = struct.pack("<H", len(entries)) + b"".join(entries)
    return head + strip + directory + struct.pack("<I", 8 + len(strip))


def turned(orientation: int) -> bytes:
    """Return a picture whose EXIF data ask for a rotation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return data("JPEG", exif=exif)


def frames(kind: str) -> bytes:
    """Return a file of two pictures."""
    return data(kind, save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT), "blue")])


def archive() -> bytes:
    """Return a ZIP archive with a member that climbs out."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as file:
        file.writestr("../pwned.png", data("PNG"))
    return memory.getvalue()


def half(kind: str) -> bytes:
    """Return the first half of a picture file."""
    content = data(kind)
    return content[: len(content) // 2]


def modes() -> Iterator[Hostile]:
    """Yield pictures of every mode: all become 8-bit RGB."""
    whole, size = colours(), (WIDTH, HEIGHT)
    deep = np.asarray(whole.convert("L")).astype(np.uint16) * 257
    strange = PngImagePlugin.PngInfo()
    strange.add_text("Title", "<script>alert(1)</script>")
    yield Hostile("mode-cmyk.jpg", write(data("JPEG", whole.convert("CMYK"))), OK, "converted by Pillow", size=size)
    yield Hostile("mode-la.png", write(data("PNG", whole.convert("LA"))), GRAY, "grey with alpha", size=size)
    yield Hostile("mode-l.png", write(data("PNG", whole.convert("L"))), GRAY, "grey", size=size)
    yield Hostile("mode-1.png", write(data("PNG", whole.convert("1"))), GRAY, "one bit", size=size)
    yield Hostile("mode-p.png", write(data("PNG", whole.quantize(16))), OK, "a palette", size=size)
    yield Hostile("mode-rgba.png", write(data("PNG", whole.convert("RGBA"))), OK, "alpha over white", size=size)
    yield Hostile("mode-lab.tif", write(data("TIFF", whole.convert("LAB"))), OK, "L*a*b*", size=size)
    yield Hostile("mode-16.png", write(data("PNG", Image.fromarray(deep))), GRAY, "16 bits, divided by 257", size=size)
    wide = png(2, 2, stream=(b"\0" + b"\x40\0\x80\0\xc0\0" * 2) * 2, depth=16)
    yield Hostile("mode-48.png", write(wide), OK, "16-bit colour", size=(2, 2))
    yield Hostile("mode-f.tif", write(data("TIFF", whole.convert("F"))), DECODE, "floating point has no agreed range")
    huge = Image.fromarray(np.full((HEIGHT, WIDTH), 2**20, dtype=np.int32))
    yield Hostile("mode-i.tif", write(data("TIFF", huge)), DECODE, "32-bit integers have no agreed range")
    yield Hostile("mode-text.png", write(data("PNG", pnginfo=strange)), OK, "a title with a script", size=size)
    yield Hostile("frames-gif.gif", write(frames("GIF")), OK, "of an animation the first frame counts", size=size)
    yield Hostile("frames-webp.webp", write(frames("WEBP")), OK, "of an animation the first frame counts", size=size)
    yield Hostile("frames-mpo.mpo", write(frames("MPO")), OK, "of several pictures the first counts", size=size)
    yield Hostile("frames-tif.tif", write(frames("TIFF")), OK, "of several pages the first counts", size=size)
    for kind, suffix in (("BMP", "bmp"), ("WEBP", "webp"), ("PPM", "ppm"), ("JPEG", "jfif"), ("JPEG", "JPEG")):
        yield Hostile(f"format-{suffix}.{suffix}", write(data(kind)), OK, "every format that is read", size=size)
    yield Hostile("named-wrongly.png", write(data("JPEG")), OK, "the content counts, not the suffix", size=size)


def rotations() -> Iterator[Hostile]:
    """Yield EXIF data, whole and broken."""
    for value in range(1, 9):
        size = (HEIGHT, WIDTH) if value > 4 else (WIDTH, HEIGHT)
        yield Hostile(f"exif-{value}.jpg", write(turned(value)), OK, "the rotation is applied", size=size)
    stored = (WIDTH, HEIGHT)
    yield Hostile("exif-99.jpg", write(turned(99)), OK, "a rotation that is none leaves it as stored", size=stored)
    six = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0six\0\0\0\0\0"
    yield Hostile("exif-text.jpg", write(data("JPEG", exif=six)), OK, "text for a rotation", size=stored)
    torn = b"Exif\0\0II*\0\xff\xff\xff\x7f"
    size = (HEIGHT, WIDTH)
    yield Hostile("exif-turned.tif", write(tiff_of((274, 6))), GRAY, "a rotation that Pillow applies itself", size=size)
    yield Hostile("exif-torn.jpg", write(data("JPEG", exif=torn)), OK, "broken EXIF data", size=stored)
    loop = b"Exif\0\0II*\0\x08\0\0\0\0\0\x08\0\0\0"
    yield Hostile("exif-loop.jpg", write(data("JPEG", exif=loop)), OK, "EXIF data that lead to themselves", size=stored)
    yield Hostile("icc-broken.jpg", write(data("JPEG", icc_profile=b"\0\xff" * 99)), OK, "profiles are not applied")
    yield Hostile("icc-none.png", write(data("PNG", icc_profile=b"no profile")), OK, "profiles are not applied")
    yield Hostile(
        "trailing.png", write(data("PNG") + b"<script>alert(1)</script>" * 99), OK, "what follows is not read"
    )


def sizes() -> Iterator[Hostile]:
    """Yield pictures of extreme size, and bombs."""
    for width, height in ((1, 1), (3, 500), (10_000, 10), (11, 11)):
        picture = colours().resize((width, height))
        name, why = f"size-{width}x{height}.png", "no SSIM below 11 pixels, but a PSNR"
        yield Hostile(name, write(data("PNG", picture)), OK, why, size=(width, height))
    why = "refused by its header before a pixel is decoded"
    empty = png(60_000, 60_000, stream=b"")
    yield Hostile("bomb.png", write(empty), SIZE, why)
    yield Hostile("bomb-deflated.png", write(png(60_000, 60_000, stream=bytes(10**6))), SIZE, why)
    yield Hostile("bomb-side.png", write(png(2**31 - 1, 1, stream=b"")), SIZE, why)
    yield Hostile("bomb-jpg.jpg", write(jpeg_of(65_500, 65_500)), SIZE, why)
    yield Hostile("bomb-bmp.bmp", write(bmp_of(2**30, 2**20)), SIZE, why)
    yield Hostile("bomb-gif.gif", write(gif_of(65_535, 65_535)), SIZE, why)
    yield Hostile("bomb-webp.webp", write(webp_of(16_384, 16_384)), DECODE, "its canvas is not that of its frame")
    yield Hostile("bomb-tif.tif", write(tiff_of((256, 2**20), (257, 2**20))), SIZE, why)
    yield Hostile("bomb-ppm.ppm", write(b"P6 99999 99999 255\n"), SIZE, why)
    why = "more bytes than any picture that is allowed can have: not even its digest is computed"
    yield Hostile("bomb-sparse.webp", sparse, SIZE, why)
    for kind in (b"zTXt", b"iCCP"):
        name, bomb = f"bomb-{kind.decode().lower()}.png", png(2, 2, extra=packed_text(kind, 5_000_000))
        yield Hostile(name, write(bomb), DECODE, "a chunk of 5 kB that grows to 5 MB")
    yield Hostile("size-0x5.png", write(png(0, 5)), DECODE, "no pixels")
    yield Hostile("size-negative.bmp", write(bmp_of(-24, 20)), SIZE, "a negative width is one of four thousand million")


def broken() -> Iterator[Hostile]:
    """Yield files that are no whole pictures."""
    for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM"):
        name, why = f"half-{kind.lower()}.png", "a picture that was cut is never shown half"
        yield Hostile(name, write(half(kind)), DECODE, why)
    why = "chunks are whole, but the pixels end early: torchvision's decoder ends the process here"
    yield Hostile("short-stream.png", write(png(100, 100, stream=b"\0" * 99)), DECODE, why)
    flipped = data("PNG").replace(b"IDAT", b"IDAT\xff", 1)
    yield Hostile("check-sum.png", write(flipped), DECODE, "pixels that are not those of their check sum")
    yield Hostile("header.png", write(data("PNG")[:8]), DECODE, "eight bytes of a PNG")
    yield Hostile("header-jpg.jpg", write(b"\xff\xd8\xff"), DECODE, "three bytes of a JPEG")
    yield Hostile("tiff-far.tif", write(tiff_of((273, 2**31 - 1))), DECODE, "pixels behind the end of the file")
    yield Hostile("tiff-loop.tif", write(tiff_of()), GRAY, "pages that lead to themselves; the first is read")
    yield Hostile("tiff-depth.tif", write(tiff_of((258, 77))), DECODE, "77 bits a pixel")
    contents = {
        "empty": b"",
        "text": b"this is no picture\n" * 99,
        "html": b"<!DOCTYPE html><script>alert(1)</script>",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        "zip": archive(),
        "program": b"\x7fELF\x02\x01\x01" + bytes(99),
        "script": b"#!/bin/sh\ntouch pwned\n",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(pwned) (w) file\n",
        "pdf": b"%PDF-1.7\n1 0 obj<</JS(app.alert(1))>>endobj\n",
        "pickle": b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.",
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99),
        "zeros": bytes(4096),
    }
    for name, content in contents.items():
        yield Hostile(f"no-picture-{name}.jpg", write(content), DECODE, "no picture, whatever its suffix says")
    yield Hostile("no-picture.heic", write(contents["heic"]), None, "a suffix that is not read; no package is fetched")
    yield Hostile("picture.png.exe", write(data("PNG")), None, "no picture by its name")
    yield Hostile("picture-without-suffix", write(data("PNG")), None, "no picture by its name")


def kinds_of_files() -> Iterator[Hostile]:
    """Yield what is no plain file."""
    why = "what leaves the folder is not read"
    yield Hostile("link-out.png", link_out, DECODE, why)
    yield Hostile("link-device.png", link("/dev/zero"), DECODE, why)
    yield Hostile("link-process.png", link("/proc/self/environ"), DECODE, why)
    yield Hostile("link-folder.png", link("/"), DECODE, "a folder outside is not searched")
    yield Hostile("link-up", link(".."), DECODE, "a folder outside is not searched", "link-up")
    yield Hostile("link-here", link("."), None, "a folder inside is listed where it is, and never again")
    yield Hostile("link-loop.png", link("link-loop.png"), DECODE, "a link to itself")
    yield Hostile("link-lost.png", link("nowhere.png"), DECODE, "a link to nothing")
    yield Hostile("link-inside.png", link("mode-p.png"), OK, "a link that stays inside is the picture", size=(24, 20))
    yield Hostile("pipe.png", os.mkfifo, DECODE, "a pipe that nobody writes to is not waited for")
    yield Hostile("socket.png", listen, DECODE, "no file")
    yield Hostile("folder.png", folder, OK, "a folder may be called like a picture", "folder.png/inside")
    status = OK if ROOT_READS_ALL else DECODE
    yield Hostile("unreadable.png", unreadable, status, "an error row, but for root, who may read everything")


HOSTILE_STEMS = (
    "ünïcödé", "e\u0301-combined", "\u00e9-composed", "\u202egnp.exe", "עברית", "zero\u200bwidth", "😀", "ﬁ-ligature",
    "a space", " leading space", "trailing space ", "new\nline", "tab\there", "return\rhere", "\u2028separator",
    "\x1b[31mred\x1b]0;title\x07", "bell\x07", "\x7fdelete", "\x85next", "-dash", "--help", "-rf", "%s%n", "%00",
    "%2e%2e", "[red]markup", "[1]", "[!a]", "star*", "what?", "'single'", 'double"', "`id`", "$(touch pwned)",
    "${HOME}", ";ls", "a && b", "a|b", "|a|b|", "back\\slash", "..\\..\\up", "...three", "dots..", "~", "~root",
    "#hash", "a#b?c=d&e", "{{ 7*7 }}", "{% raw %}", "{0}", "%(name)s", "<img src=x onerror=alert(1)>", "&lt;b&gt;",
    "<!--", "]]>", "javascript:alert(1)", "[a](javascript:alert(1))", "**bold**", "![x](y)", "=cmd()", "=1+1", "+1",
    "-2+3", "@SUM(1)", "'=quoted", "a,b;c", "CON", "nul", "aux.v2", "NaN", "null", "007", "1e5", "true", "2026-01-01",
    "file:", "con:",
)  # fmt: skip


def names() -> Iterator[Hostile]:
    """Yield good pictures of hostile names."""
    good = write(data("PNG"))
    for stem in HOSTILE_STEMS:
        status = None if stem.startswith(".") else OK
        key = stem.replace("\\", "%5C")
        yield Hostile(f"{stem}.png", good, status, "a name is text, and nothing more", key)
    for stem in (
        "\x1b]0;title\x07\x1b[31mbroken",
        "[bold red]broken",
        "=broken",
        "<b>broken",
        "new\nline broken",
        "%s broken",
    ):
        yield Hostile(f"{stem}.png", write(b""), DECODE, "names that are told to the user are text too")
    yield Hostile(".hidden.png", good, None, "hidden files are left out")
    yield Hostile("..png", good, None, "hidden files are left out")
    yield Hostile("UPPER.PNG", good, OK, "suffixes of either case")
    yield Hostile("</script>alert(1).png", good, OK, "a folder and a file that together end a script")
    yield Hostile("a/b/c/d/e/f.png", good, OK, "folders in folders")
    yield Hostile("x" * 251 + ".png", good, OK, "255 bytes, the most that a name can have")
    yield Hostile("ü" * 125 + ".png", good, OK, "as many bytes in fewer letters")
    yield Hostile("/".join(["deep" * 50] * 12) + ".png", good, OK, "a path of 2400 bytes")
    for raw, key in ((b"caf\xe9", "caf%E9"), (b"\xff\xfe", "%FF%FE"), (b"\xed\xa0\x80", "%ED%A0%80")):
        yield Hostile(os.fsdecode(raw + b".png"), good, OK, "bytes that are not UTF-8", key)


@cache
def corpus() -> tuple[Hostile, ...]:
    """Return all entries."""
    groups = (modes, rotations, sizes, broken, kinds_of_files, names)
    return tuple(entry for group in groups for entry in group())


def make(root: Path) -> tuple[Hostile, ...]:
    """Write all entries below a folder that is not there yet, and return them."""
    root.mkdir()
    entries = corpus()
    for entry in entries:
        path = root / entry.name
        path.parent.mkdir(parents=True, exist_ok=True)
        entry.make(path)
    return entries


if __name__ == "__main__":
    for entry in make(Path(sys.argv[1])):
        print(f"{entry.status or 'not listed':12} {entry.image!a}: {entry.why}")
