"""Weights: files by name, downloads that are checked, and the folders of methods."""

import hashlib
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from bench import catalog, downloads, transfer, weights
from bench.build import build_method
from bench.catalog import with_settings
from bench.downloads import KNOWN_FILES, DownloadError, KnownFile, download_file
from bench.errors import CommandError, MissingError, UsageError
from bench.manifest import MANIFEST, load_manifest, load_networks, save_weights, verify_weights, weights_digest
from bench.weights import (
    WeightsMissingError,
    fetch,
    find_method_weights,
    find_weights,
    known_files,
    verify_folder,
)

CONTENT = b"published weights"
TREE = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 2, "out_features": 3}}


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache and a working folder of its own, and a network that refuses."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("COLORBENCH_WEIGHTS", raising=False)
    monkeypatch.delenv("COLORBENCH_OFFLINE", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def refuse(*arguments: object, **settings: object) -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tmp_path


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> KnownFile:
    """Add a file to the known ones whose content the tests can make."""
    digest = hashlib.sha256(CONTENT).hexdigest()
    file = KnownFile(name="net.pth", use="tests", license="none", sha256=digest, url="https://weights.test/net.pth")
    known = {**KNOWN_FILES, "net.pth": file}
    monkeypatch.setattr(weights, "KNOWN_FILES", known)
    return file


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], list[str]]:
    """Return a function that lets every download yield the same bytes, and returns the addresses asked for."""

    def answer(content: bytes) -> list[str]:
        asked: list[str] = []

        class Downloader:
            def __init__(self, part: Path, size: int | None) -> None:
                assert part.name.endswith(".part")

            def __call__(self, url: str, output_file: str, pooch: object) -> None:
                asked.append(url)
                Path(output_file).write_bytes(content)

        monkeypatch.setattr(transfer, "ResumingDownloader", Downloader)
        return asked

    return answer


def test_known_files_have_an_address_only_with_a_digest() -> None:
    for file in KNOWN_FILES.values():
        assert (file.url is None) == (file.digits == ""), file.name
        assert file.url is None or file.url.startswith("https://")
        prefix = re.search(r"-([0-9a-f]{8})\.pth$", file.name)
        assert prefix is None or file.digits.startswith(prefix[1])


def test_places_are_searched_in_order(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [places / "here", places / "one", places / "two", places / "suite"]
    monkeypatch.setenv("COLORBENCH_WEIGHTS", f"{places / 'one'}:{places / 'two'}")
    for folder in reversed(folders):
        folder.mkdir(exist_ok=True)
        (folder / "mine.pth").write_bytes(b"x")
        assert find_weights("mine.pth", beside=places / "suite") == folder / "mine.pth"
    assert find_weights(places / "two" / "mine.pth") == places / "two" / "mine.pth"
    assert find_weights("other.pth", "mine.pth", beside=places) == places / "here" / "mine.pth"


def test_missing_weights_name_places_and_remedy(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORBENCH_WEIGHTS", str(places / "one"))
    with pytest.raises(
        WeightsMissingError, match=r"one \(COLORBENCH_WEIGHTS\).*could not be fetched: https://.*weights fetch yolov8n"
    ):
        find_weights("yolov8n-seg-coco.pt", "yolov8n-seg.pt")
    with pytest.raises(MissingError, match=r"put mine\.pth into a folder"):
        find_weights("mine.pth")
    assert WeightsMissingError.exit_status == 3


def test_a_download_is_checked_and_kept(
    places: Path, published: KnownFile, serve: Callable[[bytes], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = serve(CONTENT)
    path = find_weights("net.pth")
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(places / "cache")
    assert find_weights("net.pth") == path
    assert asked == [published.url]
    path.write_bytes(b"rotten")
    assert find_weights("net.pth").read_bytes() == CONTENT
    assert asked == [published.url] * 2
    assert "wrong digest" in capsys.readouterr().err
    assert [entry.name for entry in path.parent.iterdir()] == ["net.pth"]


def test_other_bytes_are_refused_and_leave_nothing(
    places: Path, published: KnownFile, serve: Callable[[bytes], list[str]]
) -> None:
    serve(b"something else")
    with pytest.raises(DownloadError, match="hash"):
        download_file(published, places / "cache")
    assert list((places / "cache").iterdir()) == []
    with pytest.raises(WeightsMissingError, match="hash"):
        find_weights("net.pth")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mine.pth", "no weights mine.pth in the current folder, one (COLORBENCH_WEIGHTS), suites. "),
        ("net.pth", "no weights net.pth in the current folder, one (COLORBENCH_WEIGHTS), suites, the cache. "),
        ("sub/mine.pth", "no weights sub/mine.pth at the path as given, one (COLORBENCH_WEIGHTS), suites. "),
        ("/nowhere/mine.pth", "no weights /nowhere/mine.pth at the path as given. "),
    ],
)
def test_only_places_that_were_looked_at_are_named(
    name: str, told: str, published: KnownFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLORBENCH_WEIGHTS", "one")
    with pytest.raises(WeightsMissingError, match=re.escape(told)):
        find_weights(name, beside=Path("suites"), download=False)


def test_offline_never_tries(
    published: KnownFile,
    serve: Callable[[bytes], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = serve(CONTENT)
    monkeypatch.setenv("COLORBENCH_OFFLINE", "1")
    with pytest.raises(WeightsMissingError, match="COLORBENCH_OFFLINE"):
        find_weights("net.pth")
    assert "fetching" not in capsys.readouterr().err
    monkeypatch.delenv("COLORBENCH_OFFLINE")
    with pytest.raises(WeightsMissingError):
        find_weights("net.pth", download=False)
    assert asked == []


def test_only_https_with_a_digest_is_fetched(places: Path, published: KnownFile) -> None:
    plain = published.model_copy(update={"url": "http://weights.test/net.pth"})
    with pytest.raises(DownloadError, match="not https"):
        download_file(plain, places)
    with pytest.raises(DownloadError, match="checked"):
        download_file(published.model_copy(update={"sha256": None}), places)


def test_the_list_says_where_files_are(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORBENCH_WEIGHTS", str(places))
    (places / "squeezenet1_1-features.pth").write_bytes(b"x")
    found = {file["id"]: file["found"] for file in known_files()}
    assert found["squeezenet1_1-features.pth"] == str(places / "squeezenet1_1-features.pth")
    assert found["vgg16-397923af.pth"] is None


def test_looking_does_not_remove_a_broken_file(
    places: Path, published: KnownFile, serve: Callable[[bytes], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(CONTENT)
    path = find_weights("net.pth")
    path.write_bytes(b"rotten")
    assert {file["id"]: file["found"] for file in known_files()}["net.pth"] is None
    assert path.read_bytes() == b"rotten"
    assert "wrong digest; `colorbench weights fetch net.pth`" in capsys.readouterr().err
    assert fetch("net.pth").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("zhang-eccv16-l2", "no weights of zhang-eccv16-l2 are published: train it with `colorbench train"),
        ("iizuka-siggraph16", r"colornet\.t7 is a Torch7 file.*`colorbench train iizuka-siggraph16"),
        ("gray", "needs none"),
        ("yolov8n-seg-coc.pt", r"did you mean yolov8n-seg-coco\.pt"),
        ("nonsense", r"known: .*vgg16"),
    ],
)
def test_only_known_files_are_fetched(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        fetch(name)


def test_a_file_without_an_address_has_to_be_brought() -> None:
    with pytest.raises(WeightsMissingError, match=r"put squeezenet1_1-features\.pth into a folder"):
        fetch("squeezenet1_1-features.pth")


def _release(method: str, names: Callable[[str], str], tmp_path: Path) -> bytes:
    torch.manual_seed(0)
    networks = build_method(catalog.model_tree(method)).networks()
    states = {name: network.state_dict() for name, network in networks.items() if name != "prior"}
    torch.save(
        {names(f"{name}.{key}"): value for name in states for key, value in states[name].items()}, tmp_path / "r"
    )
    return (tmp_path / "r").read_bytes()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build every method with a sixteenth of the published channels."""
    published = catalog.model_tree
    monkeypatch.setattr(catalog, "model_tree", lambda method: with_settings(published(method), {"width": 0.0625}))


def _rename(monkeypatch: pytest.MonkeyPatch, method: str, content: bytes) -> KnownFile:
    """Publish a file of the tests' own in place of a method's, with the first digits of its digest in its name."""
    card = catalog.methods()[method]
    assert card.weights is not None
    name = f"release-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    file = KnownFile(name=name, use="tests", license="none", url=f"https://weights.test/{name}")
    changed = card.model_copy(update={"weights": card.weights.model_copy(update={"file": name})})
    monkeypatch.setattr(catalog.methods(), "shipped", {**catalog.shipped_methods(), method: changed})
    monkeypatch.setattr(weights, "KNOWN_FILES", {**KNOWN_FILES, name: file})
    return file


MMAGIC = {"full.": "image_model.", "instance.": "instance_model.", "fusion.": "fusion_model."}


def _mmagic(key: str) -> str:
    network, key = key.split(".", 1)
    return MMAGIC[f"{network}."] + re.sub(r"^(\w+(up|short\d+|class))\.0\.", r"\1.", key)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("method", "folder", "names"),
    [
        ("zhang-eccv16", "zhang-eccv16", lambda key: key.removeprefix("network.")),
        ("zhang-siggraph17", "zhang-siggraph17", lambda key: key.removeprefix("network.")),
        ("instcolor-full", "instcolor-fusion", _mmagic),
    ],
)
def test_the_weights_of_a_method_are_fetched_checked_and_imported(
    method: str,
    folder: str,
    names: Callable[[str], str],
    tmp_path: Path,
    serve: Callable[[bytes], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = _release(folder, names, tmp_path)
    file = _rename(monkeypatch, method, content)
    asked = serve(content)
    path = fetch(method)
    assert path == downloads.cache_folder() / folder
    assert find_method_weights(None, method) == path
    assert load_manifest(path).sources == {file.name: hashlib.sha256(content).hexdigest()}
    said = capsys.readouterr().err
    assert f"begins with the {file.digits} of its name; no more of it is known here" in said
    assert hashlib.sha256(content).hexdigest() in said
    assert fetch(method) == path
    assert asked == [file.url]


@pytest.mark.usefixtures("small")
def test_other_bytes_than_the_name_promises_are_not_imported(
    tmp_path: Path, serve: Callable[[bytes], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _rename(monkeypatch, "zhang-eccv16", CONTENT)
    serve(b"something else")
    with pytest.raises(WeightsMissingError, match=r"hash does not begin with.*`colorbench weights import zhang-eccv16"):
        fetch("zhang-eccv16")
    assert list(downloads.cache_folder().iterdir()) == []


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("listed", [True, False])
def test_a_local_file_of_other_bytes_is_not_fetched(
    tmp_path: Path, serve: Callable[[bytes], list[str]], monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    file = _rename(monkeypatch, "zhang-eccv16", CONTENT)
    asked = serve(CONTENT)
    monkeypatch.setenv("COLORBENCH_WEIGHTS", str(tmp_path))
    wrong = (tmp_path if listed else Path.cwd()) / file.name
    wrong.write_bytes(_release("zhang-eccv16", lambda key: key.removeprefix("network."), tmp_path))
    begin, wanted = hashlib.sha256(wrong.read_bytes()).hexdigest()[:8], file.digits
    with pytest.raises(UsageError, match=rf"^{wrong} is not the published.* begins with {begin}, not with {wanted}\."):
        fetch("zhang-eccv16")
    assert asked == []
    assert not downloads.cache_folder().exists()


@pytest.mark.usefixtures("small")
def test_a_cache_of_other_weights_is_named(
    tmp_path: Path, serve: Callable[[bytes], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = _release("zhang-eccv16", lambda key: key.removeprefix("network."), tmp_path)
    _rename(monkeypatch, "zhang-eccv16", content)
    serve(content)
    manifest = fetch("zhang-eccv16") / MANIFEST
    manifest.write_text(manifest.read_text().replace(hashlib.sha256(content).hexdigest(), "0" * 64))
    with pytest.raises(UsageError, match=rf"holds other weights, .*: delete {manifest.parent} and fetch again$"):
        fetch("zhang-eccv16")


def test_releases_that_cannot_be_fetched_can_be_brought() -> None:
    with pytest.raises(
        WeightsMissingError, match=r"weights import instcolorization FILE\.\.\.`? .*Google Drive.*mmagic"
    ):
        fetch("instcolor-fusion")


def test_the_list_holds_the_releases() -> None:
    listed = {file["id"]: file for file in known_files()}
    for card in catalog.methods().values():
        if card.weights is not None and card.weights.file is not None:
            assert listed[card.weights.file]["url"].endswith(card.weights.file)


def _networks(*names: str, seed: int = 0) -> dict[str, nn.Module]:
    torch.manual_seed(seed)
    return {name: nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)) for name in names}


def _save(folder: Path, method: str = "instcolor-fusion", *names: str) -> dict[str, nn.Module]:
    networks = _networks(*(names or ("full", "instance", "fusion")))
    save_weights(method, TREE, networks, folder, training={"steps": 3})
    return networks


def test_a_folder_gives_back_what_was_saved(tmp_path: Path) -> None:
    networks = _save(tmp_path / "w")
    manifest = load_manifest(tmp_path / "w")
    assert manifest.method == "instcolor-fusion"
    assert manifest.networks["full"].parameters == 2 * 3 + 3 + 3 + 3
    assert manifest.training == {"instcolor-fusion": {"steps": 3}}
    assert json.loads((tmp_path / "w" / MANIFEST).read_text())["schema"] == 1
    again = _networks("full", "instance", "fusion", seed=1)
    load_networks(again, tmp_path / "w")
    for name, network in networks.items():
        for key, value in network.state_dict().items():
            assert torch.equal(again[name].state_dict()[key], value)
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == [
        "full.safetensors",
        "fusion.safetensors",
        "instance.safetensors",
        MANIFEST,
    ]


def test_what_a_killed_save_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "w" / ".saving-x1"
    left.mkdir(parents=True)
    (left / "full.safetensors").write_bytes(b"half")
    _save(tmp_path / "w", "instcolor-full", "full")
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == ["full.safetensors", MANIFEST]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CommandError, match="weights cannot be written"):
        _save(tmp_path / "file" / "weights")


def test_stages_gather_in_one_folder(tmp_path: Path) -> None:
    _save(tmp_path, "instcolor-full", "full")
    _save(tmp_path, "instcolor-instance", "full", "instance")
    manifest = load_manifest(tmp_path)
    assert manifest.method == "instcolor-instance"
    assert list(manifest.models) == ["instcolor-full", "instcolor-instance"]
    assert set(manifest.training) == {"instcolor-full", "instcolor-instance"}
    _save(tmp_path, "zhang-eccv16", "network")
    assert list(load_manifest(tmp_path).networks) == ["network"]


def test_a_manifest_lends_its_networks_to_another_method(tmp_path: Path) -> None:
    small = {"class_path": "Net", "init_args": {"width": 0.125}}
    tree = {"class_path": "Fusion", "init_args": {"full": small, "instance": small, "input_size": 64, "crop_size": 48}}
    save_weights("instcolor-fusion", tree, _networks("full"), tmp_path)
    manifest = load_manifest(tmp_path)
    assert manifest.tree("instcolor-fusion") == tree
    default = {"class_path": "Full", "init_args": {"full": {"class_path": "Net"}, "own": 2, "input_size": 256}}
    assert manifest.tree("instcolor-full", default) == {
        "class_path": "Full",
        "init_args": {"full": small, "own": 2, "input_size": 64},
    }


def test_a_part_of_a_folder_serves_and_has_its_own_digest(tmp_path: Path) -> None:
    _save(tmp_path)
    load_networks(_networks("full"), tmp_path)
    before = weights_digest(tmp_path, ["full"])
    assert before != weights_digest(tmp_path)
    changed = {"full": load_networks_of(tmp_path)["full"], **_networks("instance", "fusion", seed=5)}
    save_weights("instcolor-fusion", TREE, changed, tmp_path)
    assert weights_digest(tmp_path, ["full"]) == before


def load_networks_of(folder: Path) -> dict[str, nn.Module]:
    networks = _networks("full", "instance", "fusion", seed=9)
    load_networks(networks, folder)
    return networks


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    _save(tmp_path)
    path = tmp_path / "full.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(UsageError, match=r"full\.safetensors is not the file"):
        verify_weights(tmp_path)
    with pytest.raises(UsageError, match=r"full\.safetensors is not the file"):
        verify_folder(tmp_path)
    load_networks(_networks("instance"), tmp_path)
    path.unlink()
    with pytest.raises(MissingError, match=r"full\.safetensors is missing"):
        load_networks(_networks("full"), tmp_path)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    _save(tmp_path)
    with pytest.raises(UsageError, match="holds no network 'prior'"):
        load_networks(_networks("prior"), tmp_path)
    with pytest.raises(UsageError, match=r"network 'full'.*size mismatch for 0\.weight"):
        load_networks({"full": nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3))}, tmp_path)
    with pytest.raises(UsageError, match=r"1\.running_mean"):
        load_networks({"full": nn.Sequential(nn.Linear(2, 3))}, tmp_path)


@pytest.mark.parametrize(
    ("field", "value"), [("surprise", 1), ("networks", {"full": {"file": "../x", "sha256": "0" * 64, "parameters": 1}})]
)
def test_a_broken_manifest_is_named(tmp_path: Path, field: str, value: object) -> None:
    _save(tmp_path)
    content = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps({**content, field: value}))
    with pytest.raises(UsageError, match=field):
        load_manifest(tmp_path)


def test_method_weights_are_found_in_a_folder_or_below_it(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _save(places / "trained" / "weights")
    assert verify_folder(places / "trained") == verify_folder(places / "trained" / "weights")
    expected = places / "trained" / "weights"
    assert find_method_weights(places / "trained", "instcolor-fusion") == expected
    assert find_method_weights(expected, "instcolor-full") == expected
    assert find_method_weights("trained", "instcolor-full", beside=places) == expected
    monkeypatch.setenv("COLORBENCH_WEIGHTS", str(places))
    assert find_method_weights("trained", "instcolor-full") == expected
    with pytest.raises(UsageError, match="are of instcolor-fusion, not of zhang-eccv16"):
        find_method_weights("trained", "zhang-eccv16")


def test_method_weights_are_found_by_id(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORBENCH_WEIGHTS", str(places))
    with pytest.raises(
        WeightsMissingError, match="train it with `colorbench train instcolor-full --out DIR`"
    ) as missing:
        find_method_weights(None, "instcolor-full")
    assert "`colorbench weights fetch instcolor-full`" in str(missing.value)
    _save(places / "instcolor-fusion")
    assert find_method_weights(None, "instcolor-full") == places / "instcolor-fusion"
    with pytest.raises(WeightsMissingError):
        find_method_weights(None, "zhang-eccv16")


def test_files_are_plain_safetensors(tmp_path: Path) -> None:
    _save(tmp_path, "zhang-eccv16", "network")
    assert "0.weight" in load_file(tmp_path / "network.safetensors")
