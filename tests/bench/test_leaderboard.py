import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from bench.board import Cell, run_key
from bench.board_text import format_score
from bench.errors import CommandError, MissingError
from bench.formats import FORMATS
from bench.leaderboard import (
    HTML,
    finished_runs,
    format_boards,
    format_of,
    print_leaderboards,
    read_boards,
    read_records,
    render,
    write_leaderboards,
)
from bench.ranking import LEVELS, rank_records, to_frame
from bench.record import Digests, RunRecord, Score
from bench.scoring.metrics import METRICS, Level
from bench.sheet import escape_markdown
from bench.terminal import visible

Finish = Callable[..., RunRecord]
to_text, to_markdown, to_csv, to_json, to_latex = (partial(format_boards, form=form) for form in FORMATS)
to_html = partial(format_boards, form=HTML)


def scores(*psnr: float, lpips: float | None = None) -> dict[str, dict[str, float | None]]:
    extra: dict[str, float | None] = {} if lpips is None else {"lpips_squeeze": lpips}
    return {f"photo{index}": {"psnr": value, "ssim": value / 100, **extra} for index, value in enumerate(psnr)}


def ranks(records: list[RunRecord], sort: str = "psnr") -> dict[str, int | None]:
    board = rank_records(records, levels=["image"], sort=sort)[0]
    return {entry.method: entry.rank for entry in board.entries}


def test_best_psnr_comes_first_and_ties_share_a_rank(tmp_path: Path, finish_run: Finish) -> None:
    records = [
        finish_run(tmp_path, scores(20, 22), method="low"),
        finish_run(tmp_path, scores(30, 32), method="high"),
        finish_run(tmp_path, scores(25, 27), method="twin-b"),
        finish_run(tmp_path, scores(27, 25), method="twin-a"),
    ]
    assert list(ranks(records).items()) == [("high", 1), ("twin-a", 2), ("twin-b", 2), ("low", 4)]


def test_a_metric_ranks_in_its_better_direction(tmp_path: Path, finish_run: Finish) -> None:
    metrics = ("psnr", "lpips_squeeze")
    records = [
        finish_run(tmp_path, scores(30, lpips=0.4), method="blurred", metrics=metrics),
        finish_run(tmp_path, scores(20, lpips=0.1), method="crisp", metrics=metrics),
    ]
    assert ranks(records) == {"blurred": 1, "crisp": 2}
    assert ranks(records, sort="lpips_squeeze") == {"crisp": 1, "blurred": 2}


def test_partial_and_untrained_runs_stand_below_without_rank(tmp_path: Path, finish_run: Finish) -> None:
    records = [
        finish_run(tmp_path, scores(90), method="lucky", partial=True),
        finish_run(tmp_path, scores(80), method="random-weights", untrained=True),
        finish_run(tmp_path, scores(20), method="honest"),
    ]
    assert list(ranks(records).items()) == [("honest", 1), ("lucky", None), ("random-weights", None)]
    text = to_markdown(rank_records(records))
    assert "| — | lucky | none | 1 | 90.00 | 0.9000 | 0.50 | 34.19 | partial |" in text
    assert "| **20.00** |" in text
    assert "**90.00**" not in text
    assert {"partial", "untrained"} <= {line.split("|")[-2].strip() for line in text.splitlines() if "|" in line}


def test_a_method_without_the_score_is_not_ranked(tmp_path: Path, finish_run: Finish) -> None:
    records = [
        finish_run(tmp_path, {"a": "error-memory"}, method="crashed"),
        finish_run(tmp_path, scores(20), method="fine"),
    ]
    assert ranks(records) == {"fine": 1, "crashed": None}
    assert "1 failed" in to_markdown(rank_records(records))


def test_fewer_pictures_lift_no_rank(tmp_path: Path, finish_run: Finish) -> None:
    photos = scores(20, 21, 22, 23)
    records = [
        finish_run(tmp_path, {**photos, "broken": "error-decode"}, method="honest"),
        finish_run(tmp_path, {**scores(30, 31), "photo2": "error-memory", "photo3": "error-crash"}, method="choosy"),
    ]
    boards = rank_records(records)
    for board in boards:
        first, second = board.entries
        assert (first.method, first.rank, {cell.rank for cell in first.scores.values()}) == ("honest", 1, {1})
        assert (second.rank, second.tie_group, {cell.rank for cell in second.scores.values()}) == (None, None, {None})
    for text in (to_markdown(boards), to_html(boards)):
        assert "Methods with fewer scored pictures than others stand below and have no rank." in text
    assert "2 failed" in to_markdown(boards)
    assert "**30.50" not in to_markdown(boards)
    assert "fewer scored pictures" not in to_markdown(rank_records(records[:1]))


def test_each_metric_ranks_those_that_have_all_its_pictures(tmp_path: Path, finish_run: Finish) -> None:
    fids = {"whole": (50.0, 8), "fewer": (12.5, 6)}
    records = [
        finish_run(tmp_path, scores(20, 21), method=method).model_copy(
            update={"image": {"fid": Score(mean=mean, std=None, n=n, low=None, high=None)}}
        )
        for method, (mean, n) in fids.items()
    ]
    assert ranks(records, sort="fid") == {"whole": 1, "fewer": None}
    assert ranks(records) == {"whole": None, "fewer": None}


def test_seeds_are_averaged(tmp_path: Path, finish_run: Finish) -> None:
    records = [finish_run(tmp_path, scores(20 + seed, 24 + seed), seed=seed) for seed in range(3)]
    (entry,) = rank_records(records, levels=["image"])[0].entries
    cell = entry.scores["psnr"]
    assert (entry.seeds, entry.n, cell.mean) == (3, 2, 23.0)
    assert (cell.low, cell.high) == (20.0, 26.0)
    assert "Several seeds" in to_text(rank_records(records))


def test_two_runs_of_one_seed_are_never_averaged(tmp_path: Path, finish_run: Finish) -> None:
    records = [finish_run(tmp_path / str(n), scores(20 + n), salt=str(n)) for n in range(2)]
    entries = rank_records(records, levels=["image"])[0].entries
    assert [entry.method for entry in entries] == [f"gray#{records[1].run_id[:8]}", f"gray#{records[0].run_id[:8]}"]


OTHER_SETTINGS = Digests(dataset="d" * 64, settings="5" * 64, config="c" * 64, rows="r" * 64)


@pytest.mark.parametrize(
    "other", [{"parameters": {"full": 2140059}}, {"precision": "bf16"}, {"digests": OTHER_SETTINGS}]
)
def test_seeds_of_other_things_are_not_averaged(tmp_path: Path, finish_run: Finish, other: dict[str, object]) -> None:
    records = [finish_run(tmp_path, scores(20 + seed), seed=seed) for seed in range(3)]
    mixed = [records[0], records[1].model_copy(update=other), records[2]]
    entries = rank_records(mixed, levels=["image"])[0].entries
    assert {entry.method: (entry.seeds, entry.scores["psnr"].mean) for entry in entries} == {
        f"gray#{records[0].run_id[:8]}": (2, 21.0),
        f"gray#{records[1].run_id[:8]}": (1, 21.0),
    }


def test_a_run_that_is_read_twice_counts_once(tmp_path: Path, finish_run: Finish) -> None:
    for place in ("one", "two"):
        finish_run(tmp_path / place, scores(20))
    assert len(read_records([tmp_path / "one", tmp_path / "two"])) == 1


def test_two_names_of_one_thing_are_two_lines_and_two_tables(tmp_path: Path, finish_run: Finish) -> None:
    for method, value in (("gray", 20), ("random", 10)):
        finish_run(tmp_path, scores(*(value + place for place in range(8))), method=method)
    again = {"gray": ("gray-two", "samples"), "random": ("random", "samples-two")}
    for method, (name, dataset) in again.items():
        record = tmp_path / f"runs/samples/{method}--none--s0/record.json"
        copy = tmp_path / f"runs/{dataset}/{name}--none--s0"
        shutil.copytree(record.parent, copy)
        text = record.read_text().replace(f'"{method}"', f'"{name}"').replace('"samples"', f'"{dataset}"')
        (copy / "record.json").write_text(text)
    boards = read_boards([tmp_path], levels=["image"])
    lines = [(board.dataset, e.method, e.rank, e.tie_group) for board in boards for e in board.entries]
    assert lines == [
        ("samples", "gray", 1, 1),
        ("samples", "gray-two", 1, 1),
        ("samples", "random", 3, 2),
        ("samples-two", "random", 1, 1),
    ]


def test_other_pictures_under_the_same_name_are_another_table(tmp_path: Path, finish_run: Finish) -> None:
    records = [
        finish_run(tmp_path / digit, scores(20), method=digit, dataset_digest=digit * 64, dataset="folder")
        for digit in "ab"
    ]
    boards = rank_records(records, levels=["image"])
    assert [board.dataset for board in boards] == ["folder#aaaaaaaa", "folder#bbbbbbbb"]
    assert [entry.rank for board in boards for entry in board.entries] == [1, 1]


def test_csv_has_the_promised_columns(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, scores(20.125, 22), method="gray")
    finish_run(tmp_path, scores(30), method="maybe", partial=True)
    lines = render([tmp_path], "csv").splitlines()
    first = "dataset,protocol,level,rank,tie_group,method,detector,seeds,n,partial,untrained"
    each = [f"{metric}{part}" for metric in ("psnr", "ssim") for part in ("", "_low", "_high", "_rank")]
    assert lines[0] == ",".join([first, *each, "images_per_second", "parameters", "gmacs"])
    assert [line.split(",")[2] for line in lines[1:]] == ["image", "image", "instance", "instance"]
    assert lines[1].startswith("samples,stretch256-v1,image,1,1,gray,none,1,2,false,false,21.0625,20.125,22.0,1,")
    assert lines[2].startswith("samples,stretch256-v1,image,,,maybe,none,1,1,true,false,30.0,,,,")


def test_csv_and_json_hold_the_same(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, scores(20.123456789, 22), method="gray")
    finish_run(tmp_path, scores(30), method="maybe", partial=True)
    boards = read_boards([tmp_path])
    from_csv = pd.read_csv(io.StringIO(to_csv(boards)))
    from_json = pd.DataFrame(json.loads(to_json(boards)))
    pd.testing.assert_frame_equal(from_csv, from_json, check_dtype=False, check_exact=True)


def test_metrics_that_nobody_has_are_absent(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, scores(20), metrics=("psnr", "ssim", "lpips_squeeze"))
    for form in (*FORMATS, HTML):
        assert "lpips" not in render([tmp_path], form).lower()


def test_no_board_of_instances_without_instances(tmp_path: Path, finish_run: Finish) -> None:
    record = finish_run(tmp_path, {"a": "error-decode"})
    assert [board.level for board in rank_records([record])] == ["image"]


def test_hostile_names_are_only_text(tmp_path: Path, finish_run: Finish) -> None:
    record = finish_run(tmp_path, scores(20))
    name = '=cmd|<img src=x onerror=alert(1)>`*[red]\n\x1b[31m"'
    boards = rank_records([record.model_copy(update={"method": name, "dataset": name})])
    page = to_html(boards)
    assert "<img" not in page
    assert "\x1b" not in page
    line = next(line for line in to_markdown(boards).splitlines() if line.startswith("| 1 |"))
    assert line.count("|") - line.count("\\|") == line.count(" | ") + 2
    assert "\\<img" in line
    assert "\x1b" not in to_text(boards)
    assert "[red]" in to_text(boards)
    (first, *_) = csv.DictReader(io.StringIO(to_csv(boards)))
    assert first["method"].startswith("'=cmd")


def test_text_is_made_harmless() -> None:
    assert escape_markdown("a|b\nc & <d>") == "a\\|b\N{REPLACEMENT CHARACTER}c &amp; \\<d\\>"
    assert visible("a\u202eb\tc") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"


def printed(folder: Path, *, sort: str | None = None, levels: Sequence[Level] = LEVELS, **options: object) -> str:
    file = io.StringIO()
    console = Console(file=file, highlight=False, **options)  # type: ignore[arg-type]  # settings as a mapping
    print_leaderboards([folder], levels=levels, sort=sort, console=console)
    return file.getvalue()


def test_terminal_shows_the_best_in_bold(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, scores(20), method="low")
    finish_run(tmp_path, scores(30), method="high")
    text = printed(tmp_path, force_terminal=True, width=120)
    assert "\x1b[1m      30.00\x1b[0m" in text
    assert "*30.00" not in text


def test_plain_text_marks_the_best_with_a_star(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, scores(20), method="low")
    finish_run(tmp_path, scores(30), method="high")
    text = printed(tmp_path, width=40)
    assert "*30.00 |" in text
    assert "_20.00 |" in text
    assert "*: best of its column; _: second best." in text
    assert "\x1b" not in text


def test_a_narrow_terminal_loses_intervals_but_no_column(tmp_path: Path, finish_run: Finish) -> None:
    for method in ("instcolor-fusion", "iizuka-siggraph16"):
        finish_run(tmp_path, scores(20, 30), method=method, detector="annotations")
    finish_run(tmp_path, scores(20, 30), method="zhang-eccv16", partial=True)
    wide = printed(tmp_path, force_terminal=True, width=120, color_system=None)
    narrow = printed(tmp_path, force_terminal=True, width=64, color_system=None)
    assert "25.00 [20.00, 30.00]" in wide
    assert "95 % bootstrap interval over images" in wide
    assert "[2" not in narrow
    assert "bootstrap" not in narrow
    assert max(map(len, narrow.splitlines())) <= 64
    for word in ("iizuka-siggraph16", "annotations", "25.00", "0.2500", "partial"):
        assert word in narrow


def test_files_are_written_and_the_same_again(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, scores(20))
    write_leaderboards(tmp_path)
    files = [tmp_path / f"leaderboard.{form}" for form in ("md", "csv", "html")]
    before = [path.read_bytes() for path in files]
    write_leaderboards(tmp_path)
    assert [path.read_bytes() for path in files] == before
    assert not list(tmp_path.glob("*.tmp"))


def test_processes_that_finish_at_once_lose_nothing(tmp_path: Path, finish_run: Finish) -> None:
    code = "import sys; from pathlib import Path; from bench.leaderboard import write_leaderboards as w; "
    code += "[w(Path(sys.argv[1])) for _ in range(5)]"
    for number in range(4):
        finish_run(tmp_path, scores(20 + number), method=f"method{number}")
    without_tables(tmp_path)  # tests of significance would cost seconds to import
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(60) for process in running] == [0] * 2
    assert (tmp_path / "leaderboard.csv").read_text().count(",image,") == 4


def test_without_a_run_the_reader_is_told_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no finished run"):
        read_boards([tmp_path])
    write_leaderboards(tmp_path)
    assert "No run is finished yet" in (tmp_path / "leaderboard.md").read_text()


def test_published_records_are_ranked_and_studies_pointed_at(tmp_path: Path, finish_run: Finish) -> None:
    for seed in range(2):
        record = finish_run(tmp_path / "out", scores(20 + seed), seed=seed)
        place = tmp_path / "results/studies/small" / record.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(record.to_json())
    study = tmp_path / "results/studies/small"
    assert [entry.seeds for entry in read_boards([study], levels=["image"])[0].entries] == [2]
    with pytest.raises(MissingError, match=rf"holds no record but those of studies: give {study}$"):
        read_boards([tmp_path / "results"])
    with pytest.raises(MissingError, match="holds records without their rows"):
        finished_runs([study])


def test_a_lopsided_interval_shows_both_its_ends(tmp_path: Path, finish_run: Finish) -> None:
    assert format_score(Cell(19.0, 18.9, 23.0), METRICS["psnr"]) == "19.00 [18.90, 23.00]"
    assert format_score(Cell(19.0, 18.9, 23.0), METRICS["psnr"], interval=False) == "19.00"
    finish_run(tmp_path, scores(20, 20, 20, 20, 30))
    for form in ("terminal", "md"):
        text = render([tmp_path], form).replace("\\", "")
        assert "22.00 [20.00, 26.00]" in text
        assert "±" not in text


def test_sorting_by_what_nobody_measured_names_what_there_is(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, scores(20), metrics=("psnr", "ssim"))
    message = r"lpips_vgg was not measured in these runs; available: psnr, ssim$"
    with pytest.raises(MissingError, match=message):
        render([tmp_path], "md", sort="lpips_vgg")
    with pytest.raises(MissingError, match=message):
        printed(tmp_path, sort="lpips_vgg")


def test_without_psnr_tables_are_made_but_not_ranked(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, {"a": {"ssim": 0.5}}, metrics=("ssim",))
    assert "No whole, trained run has PSNR to rank by" in printed(tmp_path)
    assert read_boards([tmp_path], sort="ssim")[0].entries[0].rank == 1


def test_without_instances_the_reader_is_told(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, {"a": "error-decode"})
    with pytest.raises(MissingError, match="no scored instances"):
        render([tmp_path], "csv", levels=["instance"])
    with pytest.raises(MissingError, match="no scored instances"):
        printed(tmp_path, levels=["instance"])


def without_tables(out: Path) -> None:
    for path in (*out.glob("runs/*/*/images.csv"), *out.glob("runs/*/*/instances.csv")):
        path.unlink()


def test_captions_tell_of_the_oracle_and_claim_no_significance(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path / "one", scores(20, 30), method="gray")
    without_tables(tmp_path)
    alone = printed(tmp_path / "one")
    assert "oracle" not in alone
    assert "significance" not in alone
    finish_run(tmp_path / "one", scores(22, 31), method="instcolor-fusion", detector="annotations")
    without_tables(tmp_path / "one")
    for form in ("terminal", "md", "html"):
        text = render([tmp_path / "one"], form)
        assert "an oracle that no user has" in text
        assert "Ranks are not significance: see the intervals." in text
    narrow = printed(tmp_path / "one", force_terminal=True, width=60, color_system=None)
    assert "a wider terminal shows the intervals" in " ".join(narrow.split())


BETTER = tuple(range(20, 28))
"""Scores of eight pictures: enough for a test to tell methods apart."""


def group_column(out: Path, level: str = "image") -> dict[str, str]:
    lines = csv.DictReader(io.StringIO(render([out], "csv")))
    return {line["method"]: line["tie_group"] for line in lines if line["level"] == level}


def test_methods_that_a_test_tells_apart_are_in_other_groups(tmp_path: Path, finish_run: Finish) -> None:
    for method, shift in (("best", 0.0), ("same", 0.0), ("worse", -1.0)):
        finish_run(tmp_path, scores(*(value + shift for value in BETTER)), method=method)
    one_better_one_worse = [value + (0.5 if place % 2 else -0.6) for place, value in enumerate(BETTER)]
    finish_run(tmp_path, scores(*one_better_one_worse), method="noisy")
    finish_run(tmp_path, scores(90), method="lucky", partial=True)
    expected = {"best": "1", "same": "1", "noisy": "1", "worse": "2", "lucky": ""}
    for level in LEVELS:
        assert group_column(tmp_path, level) == expected
    for form in ("terminal", "md", "html"):
        text = " ".join(render([tmp_path], form).split())
        assert "Methods of one tie group cannot be told apart from its first" in text
        assert "Ranks are not significance" not in text
    assert "| 4 | 2 | worse | none | 8 |" in render([tmp_path], "md")


def test_without_the_scores_of_its_pictures_a_method_is_in_no_group(tmp_path: Path, finish_run: Finish) -> None:
    for method, shift in (("best", 0.0), ("edited", -1.0), ("worse", -2.0)):
        finish_run(tmp_path, scores(*(value + shift for value in BETTER)), method=method)
    path = tmp_path / "runs/samples/edited--none--s0/images.csv"
    path.write_text(path.read_text().replace("22.0", "22.5"))
    assert group_column(tmp_path) == {"best": "1", "edited": "", "worse": "2"}
    assert group_column(tmp_path, "instance") == {"best": "1", "edited": "2", "worse": "3"}
    without_tables(tmp_path)
    assert set(group_column(tmp_path).values()) == {""}


def test_a_lone_method_is_its_own_group_and_shows_none(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, scores(20))
    assert group_column(tmp_path) == {"gray": "1"}
    assert "tie" not in render([tmp_path], "md")
    assert rank_records([]) == []


def test_seeds_are_averaged_picture_by_picture_before_they_are_tested(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, scores(*BETTER), method="steady")
    for seed, sign in ((0, 1), (1, -1)):
        swing = [value - 0.1 + sign * 5 * (-1) ** place for place, value in enumerate(BETTER)]
        finish_run(tmp_path, scores(*swing), method="swinging", seed=seed)
    assert group_column(tmp_path) == {"steady": "1", "swinging": "2"}


def with_colorfulness(record: RunRecord, mean: float, difference: float) -> RunRecord:
    score = Score(mean=mean, std=1.0, n=2, low=mean - 1, high=mean + 1, difference=difference)
    return record.model_copy(update={"image": {**record.image, "colorfulness": score}})


def test_colorfulness_is_best_where_the_truth_is(tmp_path: Path, finish_run: Finish) -> None:
    given = {"gaudy": (45.0, 9.0), "pale": (31.0, -5.0), "dull": (10.0, -26.0)}
    records = [
        with_colorfulness(finish_run(tmp_path, scores(20, 21), method=method), *values)
        for method, values in given.items()
    ]
    observations = {run_key(record): {(name, 0): 1.0 for name in "ab"} for record in records}
    (board,) = rank_records(records, sort="colorfulness", levels=["image"], observations={"image": observations})
    assert [(entry.method, entry.rank, entry.tie_group) for entry in board.entries] == [
        ("pale", 1, None),
        ("gaudy", 2, None),
        ("dull", 3, None),
    ]
    assert "**31.00 (-5.00) \\[30.00, 32.00\\]**" in to_markdown([board])
    assert "( ): the mean less that of the true pictures" in to_markdown([board])
    assert '31.00 (-5.00)</strong> <small class="spread">[30.00, 32.00]</small>' in to_html([board])


def test_few_pictures_make_fid_doubtful(tmp_path: Path, finish_run: Finish) -> None:
    record = finish_run(tmp_path, scores(20, 21))
    few, many = (Score(mean=12.5, std=None, n=n, low=None, high=None) for n in (2047, 2048))
    boards = [
        rank_records([record.model_copy(update={"image": {"fid": score}})], sort="fid", levels=["image"])
        for score in (few, many)
    ]
    assert ["FID of fewer than 2048 pictures is biased" in to_markdown(board) for board in boards] == [True, False]
    assert boards[0][0].entries[0].rank == 1


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.md", "md"),
        ("b.c.CSV", "csv"),
        ("x/y.json", "json"),
        ("z.html", "html"),
        ("paper.tex", "latex"),
        ("a.txt", None),
        ("md", None),
    ],
)
def test_a_file_name_asks_for_a_format(name: str, form: str | None) -> None:
    assert format_of(Path(name)) == form
    assert form is None or form in {*FORMATS, HTML}


def test_a_broken_record_is_named(tmp_path: Path, finish_run: Finish) -> None:
    finish_run(tmp_path, scores(20))
    path = tmp_path / "runs/samples/gray--none--s0/record.json"
    path.write_text(path.read_text()[:-40])
    with pytest.raises(CommandError, match=r"gray--none--s0/record\.json is no record"):
        read_records([tmp_path])


def test_reading_commands_import_neither_torch_nor_pandas() -> None:
    code = "import sys, bench.leaderboard, bench.report.page, bench.status; print({'torch', 'pandas'} & {*sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_the_frame_is_the_csv(tmp_path: Path, finish_run: Callable[..., RunRecord]) -> None:
    finish_run(tmp_path, {"a": {"psnr": 20.0, "ssim": None}, "b": {"psnr": 22.5, "ssim": 0.5}})
    boards = read_boards([tmp_path])
    written = pd.read_csv(io.StringIO(render([tmp_path], "csv")))
    pd.testing.assert_frame_equal(to_frame(boards), written, check_dtype=False)


def test_equal_means_share_their_mark(tmp_path: Path, finish_run: Finish) -> None:
    for method, value in (("best", 30), ("twin-a", 20), ("twin-b", 20), ("last", 10)):
        finish_run(tmp_path, scores(value), method=method)
    text = render([tmp_path], "md", levels=["image"])
    assert (text.count("**30.00**"), text.count("<ins>20.00</ins>"), text.count("| 10.00 |")) == (1, 2, 1)
    assert "Bold: best of its column; underlined: second best. Ranked by PSNR." in text
    assert render([tmp_path], "html", levels=["image"]).count("<u>20.00</u>") == 2
    finish_run(tmp_path, scores(30), method="other-best")
    text = render([tmp_path], "md", levels=["image"])
    assert (text.count("**30.00**"), text.count("<ins>")) == (2, 0)


def test_speed_and_size_stand_beside_the_scores(tmp_path: Path, finish_run: Finish) -> None:
    first = finish_run(tmp_path, scores(20, 30), seed=0).model_copy(update={"gmacs": 41.775})
    other = finish_run(tmp_path, scores(20, 30), seed=1).model_copy(update={"gmacs": 41.775, "images_per_second": 3.0})
    scored = finish_run(tmp_path, scores(10, 20), method="theirs")
    scored = scored.model_copy(update={"digests": scored.digests.model_copy(update={"predictions": "p" * 64})})
    boards = rank_records([first, other, scored], levels=["image"])
    costs = {entry.method: entry.cost for entry in boards[0].entries}
    assert first.images_per_second == 1.0
    assert (costs["gray"].images_per_second, costs["gray"].parameters, costs["gray"].gmacs) == (2.0, 34187027, 41.775)
    assert (costs["theirs"].images_per_second, costs["theirs"].parameters) == (None, None)
    text = to_markdown(boards)
    assert "| images/s | parameters \\[M\\] | GMACs |" in text
    assert "| 2.00 | 34.19 | 41.77 |" in text
    assert "| — | — | — |" in text
    assert "images/s: as the run went, with reading and scoring, on cpu; the machine may have done other work" in text
    assert "colorbench speed measures alone. GMACs: 10⁹ multiply-adds" in text
    elsewhere = first.model_copy(update={"method": "far", "device": "GPU", "processes": 2, "run_id": "f"})
    assert "on GPU, 2 processes or cpu, which cannot be compared; the" in to_markdown(rank_records([first, elsewhere]))
