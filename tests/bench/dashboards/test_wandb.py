"""wandb, its own file read record by record."""

import json
import struct
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench.dashboards.content import FinishedRun
from bench.dashboards.sending import replay
from bench.dashboards.wandb import Wandb, logged_in

Change = Callable[[FinishedRun, str, float], None]
Tree = Callable[[Path], dict[str, bytes]]
Personal = Callable[[bytes, Path], list[str]]
CANARY = "canary0123456789canary0123456789canary01"


def wandb_records(path: Path) -> Iterator[Any]:
    """Yield the records of wandb's own offline file: LevelDB's log format behind seven bytes of its own."""
    content, place, block, kept = path.read_bytes(), 7, 32768, b""
    while place + 7 <= len(content):
        if block - place % block < 7:
            place += block - place % block
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        kept += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {1, 4}:
            record = import_module("wandb.proto.wandb_internal_pb2").Record()
            record.ParseFromString(kept)
            yield record
            kept = b""


def of_kind(path: Path, kind: str) -> list[Any]:
    return [getattr(record, kind) for record in wandb_records(path) if record.WhichOneof("record_type") == kind]


def wandb_items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def wandb_file(out: Path) -> Path:
    """Return the one offline file of an output folder's one run."""
    (path,) = (out / "logs/wandb").glob("offline-run-*/run-*.wandb")
    return path


def test_replay_to_wandb_is_idempotent_and_offline(
    finished: FinishedRun, tree: Tree, personal: Personal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", CANARY)
    monkeypatch.setenv("WANDB_MODE", "offline")
    (finished.out / "pictures/samples/photo02.truth.png").unlink()
    (told,) = replay([finished.out], ["wandb"])
    assert told.startswith("wandb: 1 of 1 run sent; offline")
    assert "do not move the folder" in told, "its file has the places of what is uploaded later"
    path, before = wandb_file(finished.out), tree(finished.out / "logs/wandb")
    assert path.name == f"run-{finished.identity}.wandb"
    assert "nothing new" in replay([finished.out], ["wandb"])[0]
    assert tree(finished.out / "logs/wandb") == before
    check_wandb_run(path, finished)
    check_wandb_artifacts(path, finished)
    assert CANARY.encode() not in b"".join(before.values())
    assert personal(without_local_paths(path), finished.out) == []


def check_wandb_run(path: Path, finished: FinishedRun) -> None:
    (run,) = of_kind(path, "run")
    assert (run.project, run.run_group, run.job_type) == ("colorbench", "test-v1", "samples/stretch256-v1")
    assert (run.display_name, list(run.tags)) == ("samples--gray--none--s0", ["gray"])
    config = wandb_items(run.config.update)
    assert {name: config[name] for name in finished.facts} == finished.facts
    assert config["run_id"] == finished.record.run_id
    summary: dict[str, Any] = {}
    for part in of_kind(path, "summary"):
        summary |= wandb_items(part.update)
    assert {name: summary[name] for name in finished.scores} == finished.scores
    history = [wandb_items(part.item) for part in of_kind(path, "history")]
    assert [row["percent"] for row in history] == [row["_step"] for row in history] == list(range(101))
    assert [row["image-quantiles/psnr"] for row in history] == finished.curves["image-quantiles/psnr"]
    assert summary["pictures/_type"] == "table-file"
    assert (summary["pictures/nrows"], summary["pictures/ncols"]) == (12, 8)
    assert sum(summary["image-distribution/psnr/values"]) == 20


def check_wandb_artifacts(path: Path, finished: FinishedRun) -> None:
    artifacts = {
        each.type: {entry.path: entry for entry in each.manifest.contents} for each in of_kind(path, "artifact")
    }
    assert set(artifacts) == {"record", "run_table"}
    assert set(artifacts["record"]) == {"record.json", "images.csv", "instances.csv", "breakdown.csv"}
    kept = Path(artifacts["record"]["record.json"].local_path)
    assert kept.is_relative_to(path.parent), "what is uploaded later lies beside the run"
    assert kept.read_bytes() == (finished.folder / "record.json").read_bytes()
    table = json.loads(Path(artifacts["run_table"]["pictures.table.json"].local_path).read_text())
    assert table["columns"] == ["image", "status", "instances", "gray", "prediction", "truth", "psnr", "ssim"]
    assert [line[0] for line in table["data"]] == [line.image for line in finished.pictures.lines]
    assert [line[0] for line in table["data"] if line[5] is None] == ["photo02"]
    for line in table["data"]:
        shown = artifacts["run_table"][line[4]["path"]].local_path
        with Image.open(shown) as small, Image.open(finished.folder / "images" / f"{line[0]}.png") as kept_picture:
            assert small.tobytes() == kept_picture.tobytes()


def without_local_paths(path: Path) -> bytes:
    """Return wandb's file without the places of the files that it is to upload, which it tells nobody."""
    content = b""
    for record in wandb_records(path):
        for entry in record.artifact.manifest.contents if record.WhichOneof("record_type") == "artifact" else ():
            entry.local_path = ""
        content += record.SerializeToString()
    return content


@pytest.mark.slow
def test_a_changed_run_replaces_what_wandb_has(finished: FinishedRun, change: Change) -> None:
    replay([finished.out], ["wandb"])
    torn = finished.out / f"logs/wandb/offline-run-20200101_000000-{finished.identity}"
    torn.mkdir()
    (torn / "of-a-killed-replay").touch()
    assert "nothing new" in replay([finished.out], ["wandb"])[0]
    assert not torn.exists()
    change(finished, "psnr", 33.0)
    assert "1 of 1" in replay([finished.out], ["wandb"])[0]
    summary = wandb_items([item for part in of_kind(wandb_file(finished.out), "summary") for item in part.update])
    assert summary["image/psnr"] == 33


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("machine api.wandb.ai login user password secret", True),
        ("machine other.org login user password secret", False),
        ("not a netrc", False),
        (None, False),
    ],
)
def test_logged_in_reads_the_netrc_file(tmp_path: Path, content: str | None, expected: bool) -> None:
    if content is not None:
        (tmp_path / "netrc").write_text(content)
        (tmp_path / "netrc").chmod(0o600)
    assert logged_in() is expected


def test_logged_in_reads_the_key_and_the_server_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine wandb.example.org login user password secret")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert logged_in()
    monkeypatch.setenv("WANDB_BASE_URL", "https://other.example.org")
    assert not logged_in()
    monkeypatch.setenv("WANDB_API_KEY", CANARY)
    assert logged_in()


def test_what_another_project_was_sent_stays_until_it_is_synced(
    finished: FinishedRun, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With folders as wandb would write them, so that it need not be started."""
    folders = finished.out / "logs/wandb"

    def write(_: Wandb, run: FinishedRun) -> Path:
        place = folders / f"offline-run-{len(list(folders.glob('*')))}-{run.identity}"
        place.mkdir(parents=True)
        return place

    monkeypatch.setattr(Wandb, "_send", write)
    for project in ("mine", "theirs", "mine"):
        replay([finished.out], ["wandb"], project)
    change(finished, "psnr", 33.0)
    replay([finished.out], ["wandb"], "theirs")
    left = {path.parent.name[:13]: json.loads(path.read_text())["project"] for path in folders.glob("*/sent.json")}
    assert left == {"offline-run-0": "mine", "offline-run-2": "theirs"}
