"""Archives are unpacked whole and below their folder, or not at all."""

import gzip
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from bench import archives
from bench.archives import ArchiveError, Limits, unpack
from bench.errors import CommandError

GOOD = {"val/a.txt": b"first", "val/deep/b.txt": b"second" * 1000, "list.txt": b""}


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix != ".tar" else "w") as archive:
        for name, content in members.items():
            add(archive, name, content)
    return path


def add(archive: tarfile.TarFile, name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, to: str = "") -> None:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, to
    archive.addfile(info, io.BytesIO(content))


def write(path: Path, members: dict[str, bytes]) -> Path:
    return write_zip(path, members) if path.suffix == ".zip" else write_tar(path, members)


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuse(archive: Path, words: str, limits: Limits | None = None) -> None:
    """Check that an archive is refused, and that nothing of it is left in its folder or beside it."""
    out = archive.parent / "out"
    before = everything(archive.parent)
    with pytest.raises(ArchiveError, match=words):
        unpack(archive, out, limits=limits)
    assert everything(archive.parent) == before
    assert list(out.iterdir()) == []


each_form = pytest.mark.parametrize("form", ["set.zip", "set.tar", "set.tar.gz"])


@pytest.mark.parametrize("form", ["set.zip", "set.tar", "set.tar.gz", "set.tgz"])
def test_all_members_are_written(tmp_path: Path, form: str) -> None:
    assert unpack(write(tmp_path / form, GOOD), tmp_path / "out") == 3
    assert everything(tmp_path / "out") == GOOD


def test_a_tar_of_the_working_folder_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "set.tar"
    with tarfile.open(path, "w") as archive:
        add(archive, "./", kind=tarfile.DIRTYPE)
        add(archive, "./val/a.txt", b"first")
    assert unpack(path, tmp_path / "out", ["val/*"]) == 1
    assert everything(tmp_path / "out") == {"val/a.txt": b"first"}


@each_form
def test_files_join_what_is_there(tmp_path: Path, form: str) -> None:
    mine = tmp_path / "out/val/mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    (tmp_path / "out/val/a.txt").write_bytes(b"old")
    unpack(write(tmp_path / form, GOOD), tmp_path / "out")
    assert everything(tmp_path / "out") == GOOD | {"val/mine.txt": b"mine"}


@each_form
def test_only_wanted_members_are_written(tmp_path: Path, form: str) -> None:
    assert unpack(write(tmp_path / form, GOOD), tmp_path / "out", ["val/*.txt"]) == 2
    assert set(everything(tmp_path / "out")) == {"val/a.txt", "val/deep/b.txt"}


@each_form
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../evil.txt", r"'\.\./evil\.txt' leads out"),
        ("val/../../evil.txt", "leads out"),
        ("/tmp/evil.txt", "absolute"),
        ("C:/evil.txt", "absolute"),
        ("val\\..\\evil.txt", "backslash"),
        ("val/\x1b[31mred.txt", "cannot be printed"),
        ("val//a.txt", "empty"),
        ("val/./a.txt", r"'\.'"),
        ("v" * 300, "overlong"),
        ("VAL/A.txt", "differs from 'val' in the case"),
        ("val/A.TXT", r"another member, 'val/a\.txt'"),
        ("val/a.txt/b", "below a member that is a file"),
        ("val", "another member"),
    ],
)
def test_names_that_may_not_be_are_refused(tmp_path: Path, form: str, name: str, words: str) -> None:
    refuse(write(tmp_path / form, GOOD | {name: b"evil"}), words)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("form", ["set.zip", "set.tar"])
def test_a_name_that_stands_twice_is_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / form
    if form == "set.zip":
        with zipfile.ZipFile(path, "w") as archive:
            for text in "ab":
                archive.writestr("same.txt", text)
    else:
        with tarfile.open(path, "w") as tar:
            for content in b"a", b"b":
                add(tar, "same.txt", content)
    refuse(path, "another member")


def test_letters_that_a_file_system_takes_for_one_are_refused(tmp_path: Path) -> None:
    refuse(write_zip(tmp_path / "set.zip", {"caf\u00e9.txt": b"a", "cafe\u0301.txt": b"b"}), "another member")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
@pytest.mark.parametrize("to", ["/etc/passwd", "val/a.txt"])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes, to: str) -> None:
    path = tmp_path / "set.tar"
    with tarfile.open(path, "w") as archive:
        add(archive, "val/a.txt", b"a")
        add(archive, "odd", kind=kind, to=to)
        add(archive, "odd/passwd", b"evil")
    refuse(path, "'odd' is a link, a device or a sparse file")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        odd = zipfile.ZipInfo("odd")
        odd.external_attr = (kind | 0o644) << 16
        archive.writestr(odd, "/etc/passwd")
    refuse(path, "'odd' is a link or a device")


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "set.zip", {"a.txt": b"a"})
    content = bytearray(path.read_bytes())
    for mark, place in (b"PK\x03\x04", 6), (b"PK\x01\x02", 8):
        content[content.index(mark) + place] |= 1
    path.write_bytes(content)
    refuse(path, "encrypted")


@each_form
def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / form, {"a.txt": b"a", "zeros": bytes(1 << 20)})
    written: list[str] = []
    monkeypatch.setattr(archives, "_write", lambda member, path: written.append(member.name))
    refuse(path, "'zeros' unpacks to more than the", limits=Limits(free=1 << 16, ratio=100, size=1 << 19))
    assert written == ["a.txt"]


def test_a_bomb_of_headers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "HEADERS", 1 << 16)
    path = tmp_path / "set.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x" * (1 << 20)}) as archive:
        add(archive, "a.txt")
    refuse(path, "more bytes than an archive of its size may", limits=Limits(free=1 << 16))


@each_form
def test_too_many_members_are_refused(tmp_path: Path, form: str) -> None:
    refuse(
        write(tmp_path / form, {f"{n}.txt": b"" for n in range(5)}), r"'4\.txt' is one more", limits=Limits(members=4)
    )


@each_form
def test_what_is_cut_off_is_refused(tmp_path: Path, form: str) -> None:
    path = write(tmp_path / form, {"a.txt": os.urandom(5000), "b.txt": os.urandom(5000)})
    path.write_bytes(path.read_bytes()[:7000])
    refuse(path, "it is broken")


def test_a_zip_whose_bytes_were_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", b"trusted words")
    path.write_bytes(path.read_bytes().replace(b"trusted", b"twisted"))
    refuse(path, r"broken after its member 'a\.txt': Bad CRC")


@pytest.mark.parametrize(
    ("name", "words"), [("set.zip", "broken"), ("set.tar.gz", "broken"), ("set.rar", "ends neither")]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"no archive at all" * 100)
    refuse(tmp_path / name, words)


def test_a_gzip_with_a_wrong_check_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.tar.gz"
    plain = write_tar(tmp_path / "plain.tar", {"a.txt": b"a" * 2000}).read_bytes()
    packed = bytearray(gzip.compress(plain, compresslevel=0))
    packed[700] ^= 1
    path.write_bytes(packed)
    refuse(path, "broken")


def test_what_a_killed_unpacking_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "out/.set.zip.unpacking/val/half.txt"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    unpack(write_zip(tmp_path / "set.zip", GOOD), tmp_path / "out")
    assert everything(tmp_path / "out") == GOOD


def test_an_interrupted_unpacking_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(archives, "_write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        unpack(write_zip(tmp_path / "set.zip", GOOD), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_link_of_the_user_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/val").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CommandError, match="cannot be written"):
        unpack(write_zip(tmp_path / "set.zip", GOOD), tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_write", _no_space)
    with pytest.raises(CommandError, match="No space left"):
        unpack(write_zip(tmp_path / "set.zip", GOOD), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def _no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")
