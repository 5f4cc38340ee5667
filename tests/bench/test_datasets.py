"""Standard sets are fetched, unpacked and compared; what cannot be had says where it is."""

import hashlib
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import datasets
from bench.cli import app
from bench.datasets import fetch, standard_sets, verify
from bench.downloads import DownloadError, KnownFile
from bench.errors import CommandError, MissingError, UsageError
from bench.locks import Lock
from datamodules.sources import manifest as manifests
from datamodules.sources.manifest import load_manifest, manifest_ids

TINY = {"tiny-imagenet-200/val/images/val_0.JPEG": b"0", "tiny-imagenet-200/val/images/val_1.JPEG": b"1"}


def zipped(files: dict[str, bytes]) -> bytes:
    memory = BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return memory.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    memory = BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, BytesIO(content))
    return memory.getvalue()


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int, bytes], None]:
    """Return a function that puts the first pictures of a set, and an archive of them, in the set's place."""
    original, folder = manifests.FOLDER, tmp_path / "manifests"
    folder.mkdir()
    for name in manifest_ids():
        shutil.copy(Path(str(original)) / f"{name}.yaml", folder)

    def small(name: str, count: int, content: bytes) -> None:
        manifest = load_manifest(name)
        lines = (Path(str(original)) / f"{name}.txt").read_text().splitlines()[:count]
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
        changes = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        archives = (manifest.archives[0].model_copy(update=changes),)
        (folder / f"{name}.yaml").write_text(
            manifest.model_copy(update={"count": count, "archives": archives}).model_dump_json()
        )

    monkeypatch.setattr(manifests, "FOLDER", folder)
    monkeypatch.delenv("COLORBENCH_OFFLINE", raising=False)
    return small


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes | None], list[KnownFile]]:
    """Return a function that lets every download yield the same bytes, or fail, and returns the files asked for."""

    def answer(content: bytes | None) -> list[KnownFile]:
        asked: list[KnownFile] = []

        def download(file: KnownFile, folder: Path) -> Path:
            asked.append(file)
            if content is None:
                raise DownloadError("no network in tests")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / file.name).write_bytes(content)
            return folder / file.name

        monkeypatch.setattr(datasets, "download_file", download)
        return asked

    return answer


def test_a_set_is_fetched_unpacked_and_compared(
    tmp_path: Path,
    publish: Callable[[str, int, bytes], None],
    serve: Callable[[bytes | None], list[KnownFile]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = zipped(TINY)
    publish("tiny-imagenet-v1", 2, content)
    asked = serve(content)
    out = tmp_path / "tiny"
    assert fetch("tiny-imagenet-v1", out).pictures == 2
    assert [(file.name, file.size, file.sha256) for file in asked] == [
        ("tiny-imagenet-200.zip", len(content), hashlib.sha256(content).hexdigest())
    ]
    assert (out / "tiny-imagenet-200/val/images/val_1.JPEG").read_bytes() == b"1"
    assert "2 files unpacked" in capsys.readouterr().err
    fetch("tiny-imagenet-v1", out)
    assert len(asked) == 1, "what is whole is not fetched again"
    shutil.rmtree(out / "tiny-imagenet-200")
    fetch("tiny-imagenet-v1", out)
    assert len(asked) == 1, "the archive is still there"
    shutil.rmtree(out / "tiny-imagenet-200")
    (out / "tiny-imagenet-200.zip").write_bytes(b"rotten")
    fetch("tiny-imagenet-v1", out)
    assert len(asked) == 2
    assert "is not the published file" in capsys.readouterr().err


def test_only_one_process_unpacks_into_a_folder(
    tmp_path: Path, publish: Callable[[str, int, bytes], None], serve: Callable[[bytes | None], list[KnownFile]]
) -> None:
    publish("tiny-imagenet-v1", 2, zipped(TINY))
    asked = serve(zipped(TINY))
    with (
        Lock(tmp_path / "tiny/.tiny-imagenet-v1.lock", "the set"),
        pytest.raises(CommandError, match=r"writes tiny-imagenet-v1 in .*; wait until it has ended"),
    ):
        fetch("tiny-imagenet-v1", tmp_path / "tiny")
    assert asked == []
    fetch("tiny-imagenet-v1", tmp_path / "tiny")
    assert sorted(path.name for path in (tmp_path / "tiny").iterdir()) == ["tiny-imagenet-200", "tiny-imagenet-200.zip"]


def test_a_set_that_was_brought_is_unpacked(
    tmp_path: Path, publish: Callable[[str, int, bytes], None], serve: Callable[[bytes | None], list[KnownFile]]
) -> None:
    content = tarred({f"ILSVRC2012_val_{number:08d}.JPEG": b"x" for number in (1, 2, 3, 50_000)})
    publish("imagenet-val5k-v1", 3, content)
    asked = serve(None)
    with pytest.raises(
        MissingError, match=r"terms at https://image-net\.org/download-images: get ILSVRC2012_img_val\.tar"
    ):
        fetch("imagenet-val5k-v1", tmp_path / "imagenet")
    (tmp_path / "imagenet").mkdir()
    archive = tmp_path / "imagenet/ILSVRC2012_img_val.tar"
    archive.write_bytes(b"half of it")
    with pytest.raises(CommandError, match=r"not the published file: its sha256 is .*\. Remove it and bring it anew"):
        fetch("imagenet-val5k-v1", tmp_path / "imagenet")
    assert archive.is_file(), "what cannot be fetched again is not removed"
    archive.write_bytes(content)
    assert fetch("imagenet-val5k-v1", tmp_path / "imagenet").pictures == 3
    assert (tmp_path / "imagenet/val/ILSVRC2012_val_00050000.JPEG").is_file()
    assert asked == []


def test_an_archive_that_may_not_be_unpacked_leaves_nothing(
    tmp_path: Path, publish: Callable[[str, int, bytes], None], serve: Callable[[bytes | None], list[KnownFile]]
) -> None:
    content = zipped(TINY | {"../evil": b"evil"})
    publish("tiny-imagenet-v1", 2, content)
    serve(content)
    with pytest.raises(CommandError, match=r"is not unpacked: its member '\.\./evil' leads out of its folder"):
        fetch("tiny-imagenet-v1", tmp_path / "tiny")
    assert [path.name for path in (tmp_path / "tiny").iterdir()] == ["tiny-imagenet-200.zip"]
    assert not (tmp_path / "evil").exists()


def test_a_set_that_is_not_the_published_one_is_named(
    tmp_path: Path, publish: Callable[[str, int, bytes], None], serve: Callable[[bytes | None], list[KnownFile]]
) -> None:
    content = zipped(TINY | {"tiny-imagenet-200/val/images/val_2.JPEG": b"2"})
    publish("tiny-imagenet-v1", 2, content)
    serve(content)
    with pytest.raises(CommandError, match="these do not belong to it: val_2"):
        fetch("tiny-imagenet-v1", tmp_path / "tiny")


def test_a_download_that_fails_says_what_to_do(
    tmp_path: Path, serve: Callable[[bytes | None], list[KnownFile]]
) -> None:
    serve(None)
    with pytest.raises(
        MissingError, match=r"val2017\.zip .* could not be fetched: no network in tests\. What to do: run"
    ):
        fetch("coco-val2017-5000-v1", tmp_path)


def test_places205_says_what_to_bring(tmp_path: Path) -> None:
    with pytest.raises(
        MissingError, match=r"imagesPlaces205_resize\.tar\.gz and trainvalsplit_places205\.tar\.gz, and unpack"
    ):
        fetch("places205-val-v1", tmp_path)


def test_verify_tells_missing_from_wrong(tmp_path: Path, publish: Callable[[str, int, bytes], None]) -> None:
    publish("tiny-imagenet-v1", 2, b"")
    with pytest.raises(MissingError, match="no folder"):
        verify("tiny-imagenet-v1", tmp_path / "none")
    (tmp_path / "val").mkdir()
    (tmp_path / "val/val_0.JPEG").touch()
    with pytest.raises(MissingError, match="1 of 2 pictures are missing: val_1"):
        verify("tiny-imagenet-v1", tmp_path)
    (tmp_path / "val/val_7.JPEG").touch()
    with pytest.raises(CommandError) as error:
        verify("tiny-imagenet-v1", tmp_path)
    assert error.value.exit_status == 1
    with pytest.raises(UsageError, match="did you mean tiny-imagenet-v1"):
        verify("tiny-imagenet", tmp_path)


def test_the_list_is_json_with_ids_and_archives() -> None:
    printed = CliRunner().invoke(app, ["data", "list", "--json"])
    assert json.loads(printed.stdout) == standard_sets()
    by_id = {entry["id"]: entry for entry in standard_sets()}
    assert {name for name, entry in by_id.items() if entry["fetched"]} == {"coco-val2017-5000-v1", "tiny-imagenet-v1"}
    assert by_id["imagenet-ctest10k-v1"]["archives"][0]["md5"] == "29b22e2961454d5413ddabcf34fc5622", "torchvision's"


def test_the_table_names_every_set() -> None:
    printed = CliRunner().invoke(app, ["data", "list"]).stdout
    assert all(name in printed for name in manifest_ids())


def test_verify_prints_what_was_compared(tmp_path: Path, publish: Callable[[str, int, bytes], None]) -> None:
    publish("tiny-imagenet-v1", 1, b"")
    (tmp_path / "val_0.JPEG").touch()
    done = CliRunner().invoke(app, ["data", "verify", "tiny-imagenet-v1", str(tmp_path)])
    assert done.stdout == f"tiny-imagenet-v1: all 1 pictures, by names and labels, in {tmp_path}\n"
