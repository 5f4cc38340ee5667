"""Whatever is changed in one file of a finished run is found in the others, and named."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from rich.console import Console

from bench.errors import MissingError, UsageError
from bench.findings import File, Finding
from bench.outputs import config_digest
from bench.plan import Places
from bench.prepare import Options
from bench.runner import run
from bench.score import score
from bench.submission import Submission, find_pairs
from bench.suite import Suite, load_suite
from bench.verify import as_plain, print_findings, verify

GRAY = "runs/synthetic/gray--none--s0"
PART = "runs/folder/ours--none--s0"
DATA = {"id": "synthetic", "count": 3, "size": 64}
SUITE = Suite.model_validate(
    {"name": "test-v1", "methods": ["gray"], "datasets": [DATA], "metrics": ["psnr", "ssim", "colorfulness"]}
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished")
    assert run(SUITE, Options(out, Places(out), download=False)) == 0
    return out


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output folder of a scored folder that has two of three pictures."""
    root = tmp_path_factory.mktemp("part")
    for number, name in enumerate(("truth/a.png", "truth/b.png", "truth/c.png", "ours/a.png", "ours/b.png")):
        (root / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (32, 32), (40 * number, 90, 200)).save(root / name)
    submission = Submission(
        root / "ours", root / "truth", root / "out", "ours", "folder", "native-v1", metrics=("psnr",), partial=True
    )
    assert score(submission, find_pairs(submission)) == 0
    return root / "out"


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """Return a copy to be tampered with."""
    return shutil.copytree(finished, tmp_path / "out")


def found(out: Path) -> list[str]:
    """Return the findings as text, without the run's folder."""
    return [str(finding).removeprefix(f"{GRAY}/") for finding in verify(out)[1]]


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / GRAY / "rows.rank0.jsonl").read_text().splitlines()]


def save_rows(out: Path, content: list[dict[str, Any]]) -> None:
    lines = [json.dumps(row, separators=(",", ":")) + "\n" for row in content]
    (out / GRAY / "rows.rank0.jsonl").write_text("".join(lines))


def change_record(out: Path, change: Callable[[dict[str, Any]], object], folder: str = GRAY) -> None:
    path = out / folder / "record.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def bring_a_metric(out: Path) -> None:
    """Write a record as a run with a metric of a plug-in would, which is not installed now."""
    change_record(out, lambda record: record["image"].update(rev_err=record["image"]["psnr"]))
    change_record(out, lambda record: record["digests"].update(plugins="0" * 64))
    change_record(out, lambda record: record["versions"].update(met="1.0"))


def test_a_metric_whose_plugin_is_not_installed_is_named_with_the_way_to_get_it(
    out: Path, colorbench: Callable[..., tuple[int, str, str]]
) -> None:
    bring_a_metric(out)
    said = "metric rev_err comes from met 1.0, which is not installed: pip install met==1.0"
    status, _, told = colorbench("verify", out)
    assert (status, said in " ".join(told.split())) == (3, True)
    status, table, told = colorbench("leaderboard", out)
    assert (status, " ".join(told.split()).count(said)) == (0, 1)
    assert "PSNR" in table


def test_a_run_that_nobody_touched_holds(finished: Path, tmp_path: Path) -> None:
    assert verify(finished) == (1, [])
    assert verify(finished, tmp_path) == (1, []), "with its data"


def test_a_folder_without_runs_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no run in"):
        verify(tmp_path)


def test_an_edited_number_in_a_table_is_named_with_picture_and_column(out: Path) -> None:
    path = out / GRAY / "images.csv"
    lines = path.read_text().splitlines(keepends=True)
    cells = lines[2].split(",")
    before, cells[5] = cells[5], "31.5"
    path.write_text("".join([*lines[:2], ",".join(cells), *lines[3:]]))
    image = rows(out)[1]["image"]
    assert found(out) == [
        f"images.csv: image {image!r}, column psnr: found '31.5'; expected {before!r}",
    ]


def test_an_edited_instance_is_named(out: Path) -> None:
    path = out / GRAY / "instances.csv"
    lines = path.read_text().splitlines(keepends=True)
    cells = lines[1].split(",")
    cells[6] = str(int(cells[6]) + 1)
    path.write_text("".join([lines[0], ",".join(cells), *lines[2:]]))
    (finding,) = found(out)
    assert finding.startswith(f"instances.csv: image {cells[0]!r} instance {cells[1]!r}, column x: ")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.split("\n", 1)[0] + "\n", "found nothing; expected 1 line"),
        (lambda text: text + text.splitlines(keepends=True)[-1], "found 2 lines; expected 1 line"),
        (lambda text: text.replace("\n", "\r\n"), "the same cells, in other bytes"),
        (lambda text: text.replace("image,", "name,"), "image 'line 2': found 1 line; expected nothing"),
        (lambda text: "", "expected 1 line"),
    ],
)
def test_other_lines_of_a_table_are_named(change: Callable[[str], str], told: str, out: Path) -> None:
    path = out / GRAY / "images.csv"
    path.write_text(change(path.read_text()), newline="")
    findings = found(out)
    assert any(told in finding for finding in findings), findings
    assert all(finding.startswith("images.csv: ") for finding in findings)


OTHER_ROWS = (
    "record.json: scores, counts and digest of the rows: found those of other rows; expected those of the rows that "
    "are there"
)


def test_an_edited_row_is_named_where_it_contradicts_the_table(out: Path) -> None:
    content = rows(out)
    content[0]["scores"]["psnr"] = 31.5
    save_rows(out, content)
    table, record = found(out)
    assert table.startswith(f"images.csv: image {content[0]['image']!r}, column psnr: found ")
    assert table.endswith("; expected '31.5'")
    assert record == OTHER_ROWS


def test_a_row_changed_where_no_table_shows_it_is_found_in_the_record(out: Path) -> None:
    content = rows(out)
    content[0]["left_out_crowd"] += 1
    save_rows(out, content)
    digest, count = found(out)
    assert digest.startswith("record.json: digests rows: ")
    assert count == "record.json: counts left_out_crowd: found 0; expected 1"


def test_a_missing_picture_is_named_and_not_all_that_follows_from_it(out: Path) -> None:
    content = rows(out)
    save_rows(out, content[1:])
    missing = f"rows: image {content[0]['image']!r}: found nothing; expected a row"
    assert found(out) == [missing, OTHER_ROWS]
    assert [str(finding) for finding in verify(out, out)[1]] == [f"{GRAY}/{line}" for line in (missing, OTHER_ROWS)]


def test_a_picture_that_the_table_lacks_too_is_known_from_plan_and_data(out: Path) -> None:
    content = rows(out)
    save_rows(out, content[1:])
    path, missing = out / GRAY / "images.csv", content[0]["image"]
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith(f"{missing},")))
    assert found(out)[0] == "rows: images: found 2; expected 3, as planned"
    named = [str(finding) for finding in verify(out, out)[1]]
    assert f"{GRAY}/rows: image {missing!r}, which the data have: found nothing; expected a row" in named


def test_a_foreign_picture_is_named(out: Path) -> None:
    content = rows(out)
    save_rows(out, [*content, {**content[0], "image": "test/foreign"}])
    named = [str(finding) for finding in verify(out, out)[1]]
    assert f"{GRAY}/rows: image 'test/foreign', which the data don't have: found a row; expected nothing" in named


def test_a_row_of_another_run_is_named(out: Path) -> None:
    content = rows(out)
    save_rows(out, [*content[:2], {**content[2], "run_id": "6" * 64}])
    assert any(
        finding.startswith(f"rows.rank0.jsonl:3: run_id of image {content[2]['image']!r}, a foreign row: found 666")
        for finding in found(out)
    )


def test_a_row_of_another_protocol_is_named(out: Path) -> None:
    content = rows(out)
    save_rows(out, [{**content[0], "width": 224, "height": 224}, *content[1:]])
    assert any("under stretch256-v1: found (224, 224); expected (256, 256)" in finding for finding in found(out))


def test_a_picture_or_an_instance_that_stands_twice_is_named(out: Path) -> None:
    content = rows(out)
    first = content[0]
    instances = [*first["instances"], first["instances"][0]]
    twice = {**first, "instances": instances, "n_instances": len(instances)}
    save_rows(out, [twice, *content[1:], content[1]])
    findings = found(out)
    number = first["instances"][0]["instance"]
    assert f"rows.rank0.jsonl:1: instance {number} of image {first['image']!r}: found 2 times; expected once" in (
        findings
    )
    second = content[1]["image"]
    assert any(
        finding.startswith(
            f"rows.rank0.jsonl:4: image {second!r}: found a second row; expected only that of rows.rank0"
        )
        for finding in findings
    )


def test_a_broken_row_is_named_with_its_line(out: Path) -> None:
    path = out / GRAY / "rows.rank0.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], '{"image": 1}\n', lines[2]]))
    assert any(
        finding.startswith("rows.rank0.jsonl:2: line: found what is not a row of this suite") for finding in found(out)
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: r["image"]["psnr"].update(mean=40.0), "record.json: image psnr mean: found 40.0;"),
        (lambda r: r["instance"]["ssim"].update(low=0.0), "record.json: instance ssim low: found 0.0;"),
        (lambda r: r["image"]["psnr"].update(n=99), "record.json: image psnr n: found 99; expected 3"),
        (lambda r: r["image"]["colorfulness"].update(difference=0.0), "record.json: image colorfulness difference"),
        (lambda r: r["image"].pop("ssim"), "record.json: metrics, by config.yaml"),
        (lambda r: r["instance"].pop("ssim"), "record.json: instance ssim: found nothing; expected a score"),
        (lambda r: r["counts"].update(failed=1), "record.json: counts failed: found 1; expected 0"),
        (lambda r: r["digests"].update(rows="0" * 64), "record.json: digests rows"),
        (lambda r: r["digests"].update(config="0" * 64), "record.json: digests config"),
        (lambda r: r["digests"].update(dataset="0" * 64), "record.json: digests dataset, by config.yaml"),
        (lambda r: r.update(protocol_sha256="0" * 64), "record.json: protocol_sha256"),
        (lambda r: r.update(protocol="native-v1"), "record.json: protocol, by config.yaml"),
        (lambda r: r.update(run_id="0" * 64), "record.json: run_id, by plan.json"),
        (lambda r: r.update(method="better"), "record.json: method, by plan.json: found 'better'"),
        (lambda r: r.update(seed=7), "record.json: seed, by plan.json: found 7"),
        (lambda r: r.update(partial=True), "record.json: partial, by config.yaml: found True; expected False"),
        (lambda r: r.update(untrained=True), "record.json: untrained, by config.yaml"),
        (lambda r: r.update(suite="better"), "record.json: suite, by config.yaml"),
        (lambda r: r.update(precision="bf16"), "record.json: precision, by config.yaml"),
        (lambda r: r.update(schema=2), "record.json: schema"),
        (lambda r: r["digests"].update(settings="0" * 64), "record.json: digests settings, by config.yaml"),
        (
            lambda r: r.update(perturbation={"detector": "annotations", "boxes": "b", "drop": 0.5}),
            "record.json: perturbation, by config.yaml: found",
        ),
        (lambda r: r.update(hints=10), "record.json: hints, by config.yaml: found 10;"),
        (lambda r: r.update(detector_id="yolo"), "record.json: detector_id, by config.yaml: found 'yolo'"),
        (lambda r: r.update(surplus=True), "record.json: content"),
    ],
)
def test_an_edited_record_is_named(change: Callable[[dict[str, Any]], object], told: str, out: Path) -> None:
    change_record(out, change)
    findings = found(out)
    assert any(finding.startswith(told) for finding in findings), findings


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: r.update(partial=False), "partial, by config.yaml"),
        (lambda r: r.update(untrained=True), "untrained, by config.yaml"),
        (lambda r: r.update(precision="bf16"), "precision, by config.yaml"),
        (lambda r: r.update(suite="standard-v1"), "suite, by config.yaml"),
        (lambda r: r.update(hints=10), "hints, by config.yaml"),
        (lambda r: r.update(detector_id="yolo"), "detector_id, by config.yaml"),
        (lambda r: r.update(schema=2), "schema"),
        (lambda r: r["digests"].update(settings="0" * 64), "digests settings, by config.yaml"),
    ],
)
def test_an_edited_record_of_a_scored_part_is_named(
    change: Callable[[dict[str, Any]], object], told: str, part: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(part, tmp_path / "out")
    for path in out.glob("leaderboard.*"):
        path.unlink()
    assert verify(out) == (1, [])
    change_record(out, change, PART)
    (finding,) = verify(out)[1]
    assert str(finding).startswith(f"{PART}/record.json: {told}: ")


def test_an_older_folder_holds_and_goes_on(finished: Path, tmp_path: Path) -> None:
    """Before, `expected` had no `settings`, and what differs is named without it."""
    out = shutil.copytree(finished, tmp_path / "out")
    path = out / GRAY / "config.yaml"
    config = yaml.safe_load(path.read_text())
    settings = config["expected"].pop("settings")
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    change_record(out, lambda record: record["digests"].update(config=config_digest(out / GRAY)))
    assert verify(out) == (1, [])
    assert run(load_suite(str(path))[0], Options(out, Places(out), download=False)) == 0
    assert yaml.safe_load(path.read_text())["expected"]["settings"] == settings
    assert verify(out) == (1, [])
    config["expected"]["run"] = "0" * 64
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    with pytest.raises(UsageError, match="another run: settings changed"):
        run(SUITE, Options(out, Places(out), download=False))


def test_running_again_mends_an_edited_record(finished: Path, out: Path) -> None:
    """What the computation took stays as it was; nothing else of the old record does."""

    def edit(record: dict[str, Any]) -> None:
        record["image"]["psnr"]["mean"] = 99.0
        record["counts"]["failed"] = 1
        record |= {"partial": True, "method": "better", "schema": 2}

    record = out / GRAY / "record.json"
    change_record(out, edit)
    assert found(out)
    assert run(SUITE, Options(out, Places(out), download=False)) == 0
    assert record.read_bytes() == (finished / GRAY / "record.json").read_bytes()
    assert verify(out) == (1, [])
    written = record.stat().st_mtime_ns
    assert run(SUITE, Options(out, Places(out), download=False)) == 0
    assert record.stat().st_mtime_ns == written, "what is right is left alone"


def test_an_edited_configuration_is_named(out: Path) -> None:
    path = out / GRAY / "config.yaml"
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(content | {"limit": 2}))
    findings = found(out)
    assert any(finding.startswith("record.json: digests config") for finding in findings)
    assert any(finding.startswith("record.json: partial, by config.yaml") for finding in findings)


@pytest.mark.parametrize("name", ["record.json", "config.yaml", "images.csv", "instances.csv", "breakdown.csv"])
def test_a_missing_file_is_named(name: str, out: Path) -> None:
    (out / GRAY / name).unlink()
    assert any(finding.startswith(f"{name}: file: ") for finding in found(out))


def test_an_edited_breakdown_is_named(out: Path) -> None:
    path = out / GRAY / "breakdown.csv"
    line = next(line for line in path.read_text().splitlines() if line.startswith("instances,"))
    path.write_text(path.read_text().replace(line, line.replace(",image,", ",image,1")))
    (finding,) = found(out)
    assert finding.startswith(f"breakdown.csv: by 'instances' group {line.split(',')[1]!r}, column images: ")


@pytest.mark.parametrize("suffix", ["md", "csv", "html"])
def test_an_edited_leaderboard_is_named(suffix: str, out: Path) -> None:
    path = out / f"leaderboard.{suffix}"
    text = path.read_text()
    path.write_text(text.replace("gray", "grey", 1))
    (finding,) = found(out)
    assert finding.startswith(f"leaderboard.{suffix}: line ")


def test_a_broken_plan_is_named(out: Path) -> None:
    (out / "plan.json").write_text("[]")
    (finding,) = found(out)
    assert finding.startswith("plan.json: content: ")


def test_people_and_programs_are_told_the_same(out: Path) -> None:
    images = [row["image"] for row in rows(out)]
    save_rows(out, [])
    runs, findings = verify(out)
    plain = as_plain(runs, findings)
    assert (plain["runs"], plain["holds"], len(plain["findings"])) == (1, False, len(findings))
    json.dumps(plain, allow_nan=False)
    told = printed(runs, findings)
    assert f"1 run: {len(findings)} things do not hold" in told
    assert f"{GRAY}/rows: image {images[0]!r}: found nothing; expected a row" in told


def printed(runs: int, findings: list[Finding]) -> str:
    file = io.StringIO()
    print_findings(runs, findings, Console(file=file, width=400))
    return file.getvalue()


def test_what_is_told_of_a_file_is_bounded_and_counted() -> None:
    findings = [File("runs/a", "images.csv").finding(f"image {n}", "nothing", "1 line") for n in range(12)]
    lines = printed(2, findings).splitlines()
    assert lines[10:] == ["runs/a/images.csv: and 2 more, see --json", "2 runs: 12 things do not hold"]
    assert len(lines) == 12
    assert printed(1, findings[:1]).splitlines()[-1] == "1 run: 1 thing does not hold"
    assert printed(1, []) == "1 run: everything holds\n"


def test_long_values_are_cut() -> None:
    (finding,) = File("", "a").compare("b", "x" * 1000, None)
    assert len(str(finding)) < 200
