"""Published figures: their cards, and the lines below what was measured."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import html5lib
import pandas as pd
import pytest

from bench.board_text import captions
from bench.catalog import methods
from bench.errors import MissingError, UsageError
from bench.leaderboard import read_boards, render
from bench.published import AS_PUBLISHED, figures, outside
from bench.ranking import to_frame
from bench.record import RunRecord
from bench.reported import Reported
from bench.scoring.metrics import METRICS
from bench.shown import Shown

Finish = Callable[..., RunRecord]
COCO = "coco-val2017-5000-v1"
FORMS = ("terminal", "md", "csv", "json", "html", "latex")


@pytest.fixture
def out(tmp_path: Path, finish_run: Finish) -> Path:
    """Return an output folder with two methods on a dataset that papers give figures of, far below these."""
    for method, psnr in (("gray", 11.0), ("zhang-siggraph17", 12.0)):
        finish_run(tmp_path, {"a": {"psnr": psnr, "ssim": 0.1}}, method=method, dataset=COCO)
    return tmp_path


def test_figures_are_of_metrics_that_there_are() -> None:
    known = {*METRICS, *AS_PUBLISHED}
    for method, reported in figures():
        assert set(reported.scores) <= known, method
        assert {"image", "instance"} >= {reported.level}
        for metric in reported.scores:
            assert metric in AS_PUBLISHED or reported.level in METRICS[metric].levels
    assert not set(METRICS) & set(AS_PUBLISHED)


def test_no_figure_stands_twice() -> None:
    keys = [(method, r.source, r.dataset, r.level, r.variant, name) for method, r in figures() for name in r.scores]
    assert len(keys) == len(set(keys))


def test_methods_that_are_not_ours_stand_apart() -> None:
    assert not set(outside()) & set(methods())
    for id, card in outside().items():
        assert card.id == id
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", id)


def test_su_and_zhang_have_all_their_rows(shared: Path) -> None:
    text = (shared / "design" / "reference.md").read_text(encoding="utf-8")
    table = text[text.index("**Table 1 — full image") : text.index("**Table 2 —")]
    cells = {tuple(map(float, cell)) for cell in re.findall(r"(\.\d{3}) / (\d\d\.\d{3}) / (\.\d{3})", table)}
    found = [r for _, r in figures() if r.source == "Su et al. 2020, table 1"]
    assert {(r.scores["lpips_published"], r.scores["psnr"], r.scores["ssim"]) for r in found} == cells
    assert len(found) == len(cells) == 27
    assert not any(r.verified_by for r in found)
    zhang = {method: r.scores for method, r in figures() if r.source.startswith("Zhang") and r.verified_by}
    partly = {method for method, r in figures() if r.verified_scores == ("classification_top1",)}
    assert partly == {"ground-truth", "gray", "larsson-eccv16"}
    assert {method: scores["classification_top1"] for method, scores in zhang.items()} == {
        "ground-truth": 68.3,
        "gray": 52.7,
        "larsson-eccv16": 59.4,
        "zhang-eccv16": 56.0,
    }


def test_every_row_of_zhang_is_of_a_method_but_the_truth() -> None:
    lines = [method for method, r in figures() if r.source == "Zhang et al. 2016, table 1"]
    rows = {*lines}
    assert len(lines) == len(rows), "one line for each row of the paper"
    zhang = {"zhang-eccv16", "zhang-eccv16-class", "zhang-eccv16-l2", "zhang-eccv16-l2-ft"}
    assert rows == {"ground-truth", "gray", "random", "dahl-2016", "larsson-eccv16"} | zhang
    assert rows - set(methods()) == {"ground-truth"}
    assert not any(r.variant for method, r in figures() if method in zhang - {"zhang-eccv16"})


def test_what_is_not_to_be_shipped_is_not_there() -> None:
    shipped = {(r.dataset, value) for _, r in figures() for value in r.scores.values()}
    memories = {("imagenet-val5k-v1", 8.72), ("imagenet-val5k-v1", 8.06), ("imagenet-val5k-v1", 6.59)}
    assert not shipped & memories
    assert not any(r.source.startswith("DDColor") and r.dataset == COCO for _, r in figures())


def test_published_lines_stand_below_and_change_nothing(out: Path) -> None:
    plain, boards = read_boards([out]), read_boards([out], published=True)
    for board, other in zip(plain, boards, strict=False):
        assert other.entries[: len(board.entries)] == board.entries
        below = other.entries[len(board.entries) :]
        assert {entry.method for entry in below} > {"instcolor-fusion", "larsson-eccv16", "zhang-siggraph17"}
        assert {(entry.rank, entry.tie_group) for entry in below} == {(None, None)}
        assert {cell.rank for entry in below for cell in entry.scores.values()} == {None}
    assert {board.dataset for board in boards} == {COCO}
    assert not any(board.published for board in plain)
    assert "| published, unverified \\[1\\] |" in render([out], "md", published=True)


def test_where_papers_are_silent_on_what_was_measured_all_they_say_follows(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, {"a": {"psnr": 11.0, "ssim": 0.1}})
    boards = read_boards([tmp_path], published=True)
    assert [board.dataset for board in boards[:2]] == ["samples", "samples"]
    (alone,) = [b for b in boards if (b.dataset, b.level) == ("imagenet-val50k", "image")]
    assert alone.protocol == "as published"


def test_a_choice_of_detectors_is_said_to_leave_published_lines(out: Path) -> None:
    sentence = "They are shown whatever detector is chosen."
    assert sentence in render([out], "md", published=True, shown=Shown(detectors=("none",)))
    assert sentence not in render([out], "md", published=True)


def test_a_row_that_is_confirmed_in_part_is_one_line_that_says_so(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, {"a": {"psnr": 11.0, "ssim": 0.1}})
    given: dict[str, object] = {"published": True, "shown": Shown(datasets=("imagenet-ctest10k-v1",))}
    text = render([tmp_path], "md", **given)  # type: ignore[arg-type]  # options as a mapping
    (line,) = [line for line in text.splitlines() if line.startswith("| gray |")]
    assert [float(cell) for cell in re.findall(r" ([0-9.]+) \|", line)] == [89.1, 58.0, 52.7]
    assert "| published, partly verified " in line
    assert (
        "classification_top1 verified by another project's document that quotes the table; the others not verified"
        in text
    )
    rows = csv.DictReader(io.StringIO(render([tmp_path], "csv", **given)))  # type: ignore[arg-type]  # settings as a mapping
    assert {row["verified"] for row in rows if row["method"] == "gray"} == {"false"}
    shaky = {"source": "a", "dataset": "b", "protocol": "c", "scores": {"psnr": 1.0, "ssim": 0.5}}
    for wrong in ({"verified_scores": ("psnr",)}, {"verified_by": "d", "verified_scores": ("fid",)}):
        with pytest.raises(ValueError, match="which `verified_by` confirms"):
            Reported.model_validate({**shaky, **wrong})


def test_captions_explain_daggers_and_dashes(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, {"a": {"psnr": 11.0, "ssim": 0.1}})
    (board,) = read_boards([tmp_path], published=True, shown=Shown(datasets=("iizuka-user-study",)))
    told = " ".join(captions(board))
    assert "natural†, coloured pictures that users call natural." in told
    assert "—" not in told
    boards = read_boards([tmp_path], published=True, levels=["image"])
    (zhang,) = [board for board in boards if board.dataset == "imagenet-ctest10k-v1"]
    told = " ".join(captions(zhang))
    assert all(
        f"{metric.name}, {metric.definition}" in told for metric in AS_PUBLISHED.values() if metric in zhang.metrics
    )
    assert "fooled†, answers that took a coloured picture for the true one" in told
    assert "— under a metric: no such score, or none that the source gives." in told
    assert not any("—" in line for board in read_boards([tmp_path]) for line in captions(board))


def test_variants_follow_each_other_as_people_count(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, {"a": {"psnr": 11.0, "ssim": 0.1}}, dataset="imagenet-1000-siggraph17")
    (board,) = [b for b in read_boards([tmp_path], published=True, levels=["image"]) if b.published]
    hints = [match[1] for entry in board.entries if (match := re.search(r"(\d+) hints", entry.method))]
    assert hints == sorted(hints, key=int)
    assert {"2", "10"} <= {*hints}
    automatic, guided = board.parts
    assert [entry.method for entry in automatic.entries] == ["gray", "zhang-siggraph17, 0 hints"]
    assert {entry.track for entry in guided.entries} == {f"hints-{count}" for count in {*hints, "1"} - {"0"}}


@pytest.mark.parametrize("form", FORMS)
def test_without_the_option_no_format_has_them(form: str, out: Path) -> None:
    assert "Su et al." not in render([out], form)
    assert "Su et al. 2020, table 2" in render([out], form, published=True, levels=["instance"])


def test_csv_and_json_name_source_and_doubt(out: Path) -> None:
    given: dict[str, object] = {"published": True, "shown": Shown(datasets=(COCO,))}
    boards = read_boards([out], published=True, shown=Shown(datasets=(COCO,)))
    text = render([out], "csv", **given)  # type: ignore[arg-type]  # options as a mapping
    lines = list(csv.DictReader(io.StringIO(text)))
    assert list(lines[0])[-2:] == ["published", "verified"]
    assert [(line["published"], line["verified"]) for line in lines[:2]] == [("", "")] * 2
    fusion = next(line for line in lines if line["method"] == "instcolor-fusion")
    assert fusion["published"].startswith("Su et al. 2020, table 1 (resized to 256 x 256")
    assert [fusion[name] for name in ("verified", "psnr", "rank", "psnr_rank", "protocol", "n", "partial")] == [
        *("false", "27.777"),
        *[""] * 5,
    ]
    objects = json.loads(render([out], "json", **given))  # type: ignore[arg-type]  # settings as a mapping
    from_csv, from_json = pd.read_csv(io.StringIO(text)), pd.DataFrame(objects)
    from_csv["verified"] = from_csv["verified"].map({True: True, False: False})
    pd.testing.assert_frame_equal(from_csv, from_json.astype(from_csv.dtypes), check_exact=True)
    pd.testing.assert_frame_equal(to_frame(boards), from_csv, check_dtype=False)


def test_a_page_with_them_is_valid_html(out: Path) -> None:
    html5lib.HTMLParser(strict=True).parse(render([out], "html", published=True))


def test_filters_name_what_there_is(out: Path, finish_run: Finish) -> None:
    finish_run(out, {"a": {"psnr": 9.0, "ssim": 0.1}}, method="fusion", detector="yolo", dataset="samples")
    (board, _) = read_boards([out], shown=Shown(detectors=("yolo",)))
    assert [(entry.method, entry.rank) for entry in board.entries] == [("fusion", 1)]
    assert "Ranked among the runs that are shown, with the detector yolo." in render(
        [out], "md", shown=Shown(detectors=("yolo",))
    )
    assert {b.dataset for b in read_boards([out], shown=Shown(datasets=("samples",)))} == {"samples"}
    assert len(read_boards([out], shown=Shown(protocols=("stretch256-v1",)))) == 4
    for wrong in (Shown(datasets=("sample",)), Shown(detectors=("yollo",)), Shown(protocols=("stretch256",))):
        with pytest.raises(UsageError, match=r"of these runs is called .*did you mean (samples|yolo|stretch256-v1)"):
            read_boards([out], shown=wrong)
    with pytest.raises(MissingError, match="no run is of dataset samples and detector none at once"):
        read_boards([out], shown=Shown(datasets=("samples",), detectors=("none",)))
    with pytest.raises(UsageError, match="no dataset of these runs is called 'imagenet-val50k'"):
        read_boards([out], shown=Shown(datasets=("imagenet-val50k",)))
    (alone,) = read_boards([out], shown=Shown(datasets=("imagenet-val50k",)), published=True)
    assert alone.dataset == "imagenet-val50k"


def test_the_command_has_it_all(out: Path, colorbench: Callable[..., tuple[int, str, str]]) -> None:
    status, text, _ = colorbench("leaderboard", out, "--published", "--dataset", COCO, "--protocol", "stretch256-v1")
    assert (status, text.count("\n[1] Su et al. 2020")) == (0, 2)
    assert colorbench("leaderboard", out, "--by", "size", "--published")[0] == 2
    status, _, error = colorbench("leaderboard", out, "--detector", "nonne")
    assert (status, "did you mean none?" in error) == (2, True)
    assert colorbench("leaderboard", out, "--out", out / "t.tex")[0] == 0
    assert (out / "t.tex").read_text().startswith("% Leaderboard")
