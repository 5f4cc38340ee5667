"""Weight files that others publish: their addresses, their digests, and how one is fetched. Knows no torch."""

import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict

from bench.errors import CommandError
from bench.locks import Lock
from bench.scoring.classifiers import CLASSIFIERS

PATIENCE_SECONDS = 3600.0
"""For another process that fetches the same file."""

TORCHVISION = "https://download.pytorch.org/models"
ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download/v8.3.0"
FIDELITY = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"
PYTORCH_FID = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights"

COLORIZERS = "https://colorizers.s3.us-east-2.amazonaws.com"
OPENMMLAB = "https://download.openmmlab.com/mmediting/inst_colorization"


class DownloadError(Exception):
    """Say why a file could not be fetched; no more is left of it than a hidden part to go on from."""


class KnownFile(BaseModel):
    """Describe a weight file that colorbench knows by name.

    Attributes:
        name: its file name.
        use: what needs it.
        license: under which it is given.
        sha256: of its bytes, in hexadecimal; None where it is not known. Such a file is checked by the first digits
            that stand in its name, and without those never downloaded.
        url: where it is fetched from; None where it has to be brought.
        mirrors: other addresses of the same bytes.
        size: in bytes; None where it is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    use: str
    license: str
    sha256: str | None = None
    url: str | None = None
    mirrors: tuple[str, ...] = ()
    size: int | None = None

    @staticmethod
    def prefix_in(name: str) -> str | None:
        """Return the first digits of the sha256 that a file's name holds, by the convention of PyTorch's hub."""
        found = re.search(r"-([0-9a-f]{8,64})\.pth$", name)
        return found[1] if found else None

    @property
    def digits(self) -> str:
        """The digits that the file's sha256 must begin with; empty where nothing is known of it."""
        return self.sha256 or self.prefix_in(self.name) or ""

    def is_whole(self, path: Path) -> bool:
        """Whether a file is the published one, as far as can be checked."""
        return not self.digits or file_sha256(path).startswith(self.digits)


def _torchvision(name: str, sha256: str, use: str) -> KnownFile:
    return KnownFile(name=name, use=use, license="BSD-3-Clause", sha256=sha256, url=f"{TORCHVISION}/{name}")


def _inception(url: str) -> KnownFile:
    """Return the network of FID, which two projects publish under names of their own: the bytes are the same."""
    return KnownFile(
        name=url.rpartition("/")[2],
        use="metric fid",
        license="Apache-2.0",
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        url=url,
    )


_FILES = (
    KnownFile(name="yolov8n-seg-coco.pt", use="detector yolo, looked for first", license="AGPL-3.0"),
    KnownFile(
        name="yolov8n-seg.pt",
        use="detector yolo",
        license="AGPL-3.0",
        sha256="d39e867b2c3a5dbc1aa764411544b475cb14727bf6af1ec46c238f8bb1351ab9",
        url=f"{ULTRALYTICS}/yolov8n-seg.pt",
    ),
    _torchvision(
        "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
        "73cbd0190fcbe3ba339921fbce2c3a0b6bb9126c9a133c85e43a2a8e060a109e",
        "detector mask-rcnn, looked for first",
    ),
    _torchvision(
        "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
        "bf2d0c1efbc936eeee2bc95a48e80ebc86b891f61b0106485937fc29f9315fc0",
        "detector mask-rcnn, the older network",
    ),
    KnownFile(name="squeezenet1_1-features.pth", use="metric lpips_squeeze, looked for first", license="BSD-3-Clause"),
    _torchvision(
        "squeezenet1_1-b8a52dc0.pth",
        "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
        "metrics lpips_squeeze, classification_top1_squeezenet1_1",
    ),
    _torchvision(
        "alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        "metrics lpips_alex, classification_top1_alexnet",
    ),
    _torchvision(
        "vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        "metrics lpips_vgg, classification_top1; training of methods that begin from VGG-16",
    ),
    KnownFile(
        name="vgg19-dcbb9e9d.pth",
        use="training of methods with VGG-19 in their loss",
        license="BSD-3-Clause",
        url=f"{TORCHVISION}/vgg19-dcbb9e9d.pth",
    ),
    _inception(f"{FIDELITY}/weights-inception-2015-12-05-6726825d.pth"),
    _inception(f"{PYTORCH_FID}/pt_inception-2015-12-05-6726825d.pth"),
)

RELEASED = (
    KnownFile(
        name="colorization_release_v2-9b330a0b.pth",
        use="method zhang-eccv16, format zhang-eccv16",
        license="BSD-2-Clause",
        url=f"{COLORIZERS}/colorization_release_v2-9b330a0b.pth",
    ),
    KnownFile(
        name="siggraph17-df00044c.pth",
        use="method zhang-siggraph17, format zhang-siggraph17",
        license="BSD-2-Clause",
        url=f"{COLORIZERS}/siggraph17-df00044c.pth",
    ),
    KnownFile(
        name="inst-colorizatioon_full_official_cocostuff-256x256-5b9d4eee.pth",
        use="methods instcolor-*, format mmagic",
        license="MIT",
        url=f"{OPENMMLAB}/inst-colorizatioon_full_official_cocostuff-256x256-5b9d4eee.pth",
    ),
)
"""Weights of methods. Their full digests are not known here: they are checked by the digits in their names."""

_CLASSIFIERS = {
    one.file: KnownFile(name=one.file, use=f"metric {metric}", license=one.license, url=f"{TORCHVISION}/{one.file}")
    for metric, one in CLASSIFIERS.items()
}
"""Checked by the digits in their names, like those of methods."""

_OTHERS = {file.name: file for file in (*_FILES, *RELEASED)}
CLASSIFIER_NAMES = _CLASSIFIERS.keys() - _OTHERS.keys()
"""Files that serve nothing but variants of `classification_top1`."""

KNOWN_FILES: Mapping[str, KnownFile] = MappingProxyType(
    _OTHERS | {n: _CLASSIFIERS[n] for n in sorted(CLASSIFIER_NAMES)}
)
"""All files that colorbench knows, by name."""


METRIC_FILES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "lpips_squeeze": ("squeezenet1_1-features.pth", "squeezenet1_1-b8a52dc0.pth"),
        "lpips_alex": ("alexnet-owt-7be5be79.pth",),
        "lpips_vgg": ("vgg16-397923af.pth",),
        "fid": ("weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth"),
        **{metric: (one.file,) for metric, one in CLASSIFIERS.items()},
    }
)
"""The metrics that look with a network, and the files that each one's is looked for in, the best first."""


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_offline() -> bool:
    """Whether `COLORBENCH_OFFLINE` forbids to try the network."""
    return os.environ.get("COLORBENCH_OFFLINE", "0") not in {"", "0"}


def cache_folder() -> Path:
    """Return the user's folder for weights that were fetched; it need not exist."""
    import pooch

    return Path(pooch.os_cache("colorbench")) / "weights"


def download_file(file: KnownFile, folder: Path) -> Path:
    """Fetch a file over https into `folder`, where it appears whole and checked, or not at all.

    Its addresses are tried in turn. What a broken connection has brought is kept as `.<name>.part`, and the next call
    goes on from there; what turns out to be another file is removed. Another process that fetches it is waited for.

    Raises:
        DownloadError: It has no address or digest, the network does not answer, or the bytes are not the expected ones.
    """
    if file.url is None or not file.digits:
        raise DownloadError("it is not published where it could be fetched and checked")
    if is_offline():
        raise DownloadError("COLORBENCH_OFFLINE forbids it")
    target, own = folder / file.name, folder / f".{file.name}.lock"
    try:
        with Lock(own, file.name, PATIENCE_SECONDS):
            try:
                return target if target.is_file() and file.is_whole(target) else _download(file, folder)
            finally:
                own.unlink(missing_ok=True)
    except CommandError as error:
        raise DownloadError(str(error)) from error


def _download(file: KnownFile, folder: Path) -> Path:
    """Fetch a file from the first of its addresses that has it."""
    part = folder / f".{file.name}.part"
    failures = []
    for url in (str(file.url), *file.mirrors):
        try:
            return _fetch_anew_if_wrong(file, url, part)
        except OSError as error:
            failures.append(f"{url} cannot be had: {_reason(error)}")
        except ValueError as error:
            failures.append(f"{url}: {error}")
    have = part.stat().st_size if part.is_file() else 0
    if not have:
        part.unlink(missing_ok=True)
    raise DownloadError("; ".join(failures) + (f"; {have} bytes of it are kept for the next try" if have else ""))


def _reason(error: OSError) -> str:
    """Return what is known of a failure, without the addresses and paths that libraries put into it."""
    from bench.transfer import TransferError

    return str(error) if isinstance(error, TransferError) else error.strerror or type(error).__name__


def _fetch_anew_if_wrong(file: KnownFile, url: str, part: Path) -> Path:
    """Fetch a file from one address; where a kept part turns out to be of another file, without it."""
    resumed = part.is_file()
    try:
        return _fetch(file, url, part)
    except ValueError as error:
        if not resumed or isinstance(error, OSError):
            raise
    return _fetch(file, url, part)


def _fetch(file: KnownFile, url: str, part: Path) -> Path:
    """Fetch a file from one address and check it.

    Raises:
        ValueError: It is another file.
        OSError: It cannot be had, or not be written.
    """
    import pooch

    from bench.transfer import ResumingDownloader

    pooch.get_logger().setLevel(logging.ERROR)
    target = part.with_name(file.name)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=part.parent) as temporary:
        fetch = ResumingDownloader(part, file.size)
        pooch.retrieve(url, file.sha256, fname=file.name, path=temporary, downloader=fetch)
        if not file.is_whole(Path(temporary) / file.name):
            raise ValueError(f"its hash does not begin with the {file.digits} of its name")
        return (Path(temporary) / file.name).replace(target)
