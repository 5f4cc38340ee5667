"""Two methods compared: which runs are meant, which may be compared, and every number against SciPy or a plain loop."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from bench.commands.results import compare
from bench.compare import MethodComparison, compare_methods
from bench.compare_text import notes, print_comparison, summary, to_document
from bench.errors import CommandError, MissingError, UsageError
from bench.leaderboard import read_boards
from bench.record import RunRecord
from bench.statistics import bootstrap_interval

Finish = Callable[..., RunRecord]
Scores = dict[str, dict[str, float | None] | str]
PICTURES = [f"photo{index:02}" for index in range(30)]


def random_scores(seed: int, above: float = 0.0) -> dict[str, float]:
    level = np.random.default_rng(0).normal(24, 3, len(PICTURES))
    noise = np.random.default_rng(seed).normal(above, 1, len(PICTURES))
    return dict(zip(PICTURES, (level + noise).tolist(), strict=True))


def table(scores: dict[str, float]) -> Scores:
    return {key: {"psnr": value, "lpips_squeeze": value / 100} for key, value in scores.items()}


@pytest.fixture
def finish(tmp_path: Path, finish_run: Finish) -> Callable[..., RunRecord]:
    """Return a function that leaves a run with PSNR and LPIPS in the output folder."""

    def call(scores: Scores, **options: object) -> RunRecord:
        return finish_run(tmp_path, scores, **{"metrics": ("psnr", "lpips_squeeze"), **options})

    return call


def test_numbers_are_scipys(tmp_path: Path, finish: Finish) -> None:
    one, other = random_scores(1, above=0.5), random_scores(2)
    finish(table(one), method="one")
    finish(table(other), method="other")
    differences = [one[key] - other[key] for key in PICTURES]
    found = compare_methods(tmp_path, "one", "other")
    document = to_document(found)
    assert (document["images"], document["instances"]) == (30, None)
    assert document["a"]["mean"] == pytest.approx(np.mean(list(one.values())))
    assert document["b"]["mean"] == pytest.approx(np.mean(list(other.values())))
    assert document["difference"] == pytest.approx(np.mean(differences))
    assert (document["low"], document["high"]) == pytest.approx(bootstrap_interval(differences))
    assert document["rank_p_value"] == pytest.approx(stats.wilcoxon(differences).pvalue)
    assert document["win_rate"] == np.mean(np.array(differences) > 0)
    assert document["notes"] == []
    ordered = sorted(PICTURES, key=lambda key: one[key] - other[key])
    assert [image["image"] for image in document["above"]] == ordered[:-11:-1]
    assert [image["image"] for image in document["below"]] == ordered[:10]
    first = document["above"][0]
    assert (first["a"], first["b"]) == (one[first["image"]], other[first["image"]])
    assert first["difference"] == pytest.approx(first["a"] - first["b"])


def test_lower_may_be_better(tmp_path: Path, finish: Finish) -> None:
    finish(table(random_scores(1, above=3.0)), method="one")
    finish(table(random_scores(2)), method="other")
    psnr = compare_methods(tmp_path, "one", "other")
    lpips = compare_methods(tmp_path, "one", "other", metric="lpips_squeeze")
    assert psnr.win_rate is not None
    assert lpips.win_rate == pytest.approx(1 - psnr.win_rate)
    text = printed(lpips)
    assert text.index("A is better by the most") < text.index("B is better by the most")
    best = text[text.index("A is better by the most") :].splitlines()[2]
    assert lpips.below[0].image in best if lpips.below else "none" in text


def printed(compared: MethodComparison, width: int = 100) -> str:
    file = io.StringIO()
    print_comparison(compared, Console(file=file, width=width, force_terminal=True, color_system=None))
    return file.getvalue()


def test_pictures_are_listed_only_where_they_differ_in_that_direction(tmp_path: Path, finish: Finish) -> None:
    finish(table({"a": 20.0, "b": 21.0, "c": 25.0}), method="one")
    finish(table({"a": 20.0, "b": 22.0, "c": 25.0}), method="other")
    found = compare_methods(tmp_path, "one", "other")
    assert found.above == []
    assert [image.image for image in found.below] == ["b"]
    assert found.win_rate == (2 / 2) / 3
    assert "Images where A is better by the most: none" in printed(found)


def test_seeds_are_averaged_picture_by_picture(tmp_path: Path, finish: Finish) -> None:
    for seed in (0, 1):
        finish(table({"a": 20.0 + seed, "b": 30.0 + 3 * seed}), method="one", seed=seed)
    finish(table({"a": 20.0, "b": 30.0}), method="other")
    found = compare_methods(tmp_path, "one", "other")
    assert [(image.image, image.a, image.difference) for image in found.images] == [("b", 31.5, 1.5), ("a", 20.5, 0.5)]
    assert notes(found) == ["one--none: mean of each picture over the seeds 0, 1."]


def test_instances_are_weighted_alike_and_drawn_by_picture(tmp_path: Path, finish: Finish) -> None:
    finish(table(random_scores(1, above=0.5)), method="one")
    finish(table(random_scores(2)), method="other")
    document = to_document(compare_methods(tmp_path, "one", "other", level="instance"))
    whole = to_document(compare_methods(tmp_path, "one", "other"))
    assert (document["images"], document["instances"]) == (30, 30)
    assert document["a"]["mean"] == pytest.approx(whole["a"]["mean"] - 1)
    assert document["p_value"] == pytest.approx(whole["p_value"])
    assert (
        "mean over 30 instances of 30 images" in summary(compare_methods(tmp_path, "one", "other", level="instance"))[2]
    )


def test_partial_runs_are_compared_on_common_pictures(tmp_path: Path, finish: Finish) -> None:
    finish(table({"a": 20.0, "b": 21.0}), method="one", partial=True)
    finish({**table({"b": 20.0, "c": 25.0, "d": 26.0}), "e": "error-decode"}, method="other", untrained=True)
    found = compare_methods(tmp_path, "one", "other")
    assert (found.found.pictures, found.means, found.found.low, found.found.p_value) == (1, (21.0, 20.0), None, 1.0)
    assert notes(found) == [
        "one--none is partial.",
        "Left out, because the other has no score: 1 image of one--none.",
        "other--none is untrained.",
        "Left out, because the other has no score: 2 images of other--none.",
    ]


def test_without_a_common_picture_nothing_is_known(tmp_path: Path, finish: Finish) -> None:
    finish(table({"a": 20.0}), method="one")
    finish(table({"b": 20.0}), method="other")
    found = compare_methods(tmp_path, "one", "other")
    document = to_document(found)
    assert {document[key] for key in ("difference", "low", "high", "p_value", "win_rate")} == {None}
    assert "p-value of the mean: not known" in printed(found)


def test_a_mean_against_most_pictures_is_pointed_out(tmp_path: Path, finish: Finish) -> None:
    finish(table({"a": 20.0, "b": 21.0, "c": 50.0}), method="one")
    finish(table({"a": 20.1, "b": 21.1, "c": 25.0}), method="other")
    assert "The mean and most pictures point opposite ways" in notes(compare_methods(tmp_path, "one", "other"))[0]


def test_a_p_value_too_small_for_a_number_is_not_called_zero(
    tmp_path: Path, finish: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    for method in ("one", "other"):
        finish(table({"a": 20.0, "b": 21.0}), method=method)
    monkeypatch.setattr("bench.statistics.signed_rank_p", lambda differences: 0.0)
    assert "p-value of the ranks: below 1e-300 (Wilcoxon" in summary(compare_methods(tmp_path, "one", "other"))[4]


def test_a_detector_need_be_named_only_where_there_are_several(tmp_path: Path, finish: Finish) -> None:
    finish(table({"a": 20.0}), method="gray")
    for detector in ("yolo", "annotations"):
        finish(table({"a": 21.0}), method="instcolor-fusion", detector=detector)
    assert compare_methods(tmp_path, "instcolor-fusion--yolo", "gray").a.name == "instcolor-fusion--yolo"
    with pytest.raises(
        UsageError, match="stands for instcolor-fusion--annotations and instcolor-fusion--yolo: say which"
    ):
        compare_methods(tmp_path, "instcolor-fusion", "gray")
    with pytest.raises(UsageError, match="no method of these runs is called 'grey'; did you mean gray"):
        compare_methods(tmp_path, "grey", "instcolor-fusion--yolo")
    with pytest.raises(UsageError, match="both names stand for gray--none"):
        compare_methods(tmp_path, "gray", "gray--none")


def test_a_dataset_need_be_named_only_where_there_are_several(tmp_path: Path, finish: Finish) -> None:
    for dataset, above in (("coco", 1.0), ("samples", 2.0)):
        finish(table({"a": 20.0}), method="gray", dataset=dataset)
        finish(table({"a": 20.0 + above}), method="random", dataset=dataset)
    assert compare_methods(tmp_path, "random", "gray", dataset="samples").found.mean == 2.0
    with pytest.raises(UsageError, match="there are runs on coco, samples: say which with --dataset"):
        compare_methods(tmp_path, "random", "gray")
    with pytest.raises(UsageError, match="did you mean coco"):
        compare_methods(tmp_path, "random", "gray", dataset="cocoa")


def rewrite(tmp_path: Path, method: str, change: Callable[[RunRecord], RunRecord]) -> None:
    path = tmp_path / f"runs/samples/{method}--none--s0/record.json"
    path.write_text(change(RunRecord.model_validate_json(path.read_text())).to_json())


def test_runs_on_other_pictures_or_protocols_are_refused(tmp_path: Path, finish: Finish) -> None:
    finish(table({"a": 20.0}), method="gray")
    finish(table({"a": 21.0}), method="elsewhere", dataset_digest="e" * 64)
    with pytest.raises(UsageError, match=r"other pictures or annotations.*called samples.*dddddddd and eeeeeeee"):
        compare_methods(tmp_path, "gray", "elsewhere")
    finish(table({"a": 21.0}), method="larger")
    rewrite(tmp_path, "larger", lambda record: record.model_copy(update={"protocol": "native-v1"}))
    with pytest.raises(UsageError, match=r"several protocols, native-v1 \(\w{8}\) and stretch256-v1"):
        compare_methods(tmp_path, "gray", "larger")


def test_runs_of_other_settings_are_known_by_the_names_of_the_leaderboard(tmp_path: Path, finish: Finish) -> None:
    finish(table({"a": 20.0}), method="gray")
    mixed = [finish(table({"a": 21.0 + seed}), method="mixed", seed=seed) for seed in (0, 1)]
    rewrite(tmp_path, "mixed", lambda record: record.model_copy(update={"precision": "bf16"}))
    names = [f"mixed#{record.run_id[:8]}" for record in mixed]
    assert {entry.method for entry in read_boards([tmp_path])[0].entries} == {"gray", *names}
    found = [compare_methods(tmp_path, name, "gray") for name in (names[0], f"{names[1]}--none")]
    assert [(each.a.name, each.found.mean) for each in found] == [
        (f"{names[0]}--none", 1.0),
        (f"{names[1]}--none", 2.0),
    ]
    with pytest.raises(UsageError, match=r"^mixed stands for mixed#\w{8}--none and mixed#\w{8}--none: say which$"):
        compare_methods(tmp_path, "gray", "mixed")


def test_a_partial_run_is_told_from_whole_ones_of_its_method(tmp_path: Path, finish: Finish) -> None:
    whole = finish(table({"a": 20.0}), method="gray")
    partial = finish(table({"a": 24.0}), method="gray", seed=1, partial=True)
    names = [f"gray#{record.run_id[:8]}" for record in (whole, partial)]
    assert compare_methods(tmp_path, *names).found.mean == -4.0


def test_what_was_not_measured_or_was_edited_is_said(tmp_path: Path, finish: Finish) -> None:
    finish(table({"a": 20.0}), method="gray")
    finish(table({"a": 21.0}), method="other", metrics=("psnr",))
    with pytest.raises(MissingError, match=r"other--none has no lpips_squeeze of whole images with seed 0, but psnr$"):
        compare_methods(tmp_path, "gray", "other", metric="lpips_squeeze")
    with pytest.raises(UsageError, match="fid is a score of a whole set"):
        compare_methods(tmp_path, "gray", "other", metric="fid")
    path = tmp_path / "runs/samples/gray--none--s0/images.csv"
    path.write_text(path.read_text().replace("20.0", "30.0"))
    with pytest.raises(CommandError, match=r"gray--none--s0 are not there or do not give the mean psnr"):
        compare_methods(tmp_path, "gray", "other")


def test_the_command_prints_one_document_or_a_text(
    tmp_path: Path, finish: Finish, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(table({"\x1b[31ma": 20.0, "b": 21.0}), method="gray")
    finish(table({"\x1b[31ma": 22.0, "b": 20.0}), method="other")
    compare(tmp_path, "other", "gray", as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert (document["difference"], document["win_rate"], document["metric"]) == (0.5, 0.5, "psnr")
    compare(tmp_path, "other", "gray")
    text = capsys.readouterr().out
    assert "A - B, mean over 2 images: +0.50 [-1.00, +2.00] (95 % bootstrap interval over images)" in text
    assert "Win rate: A is better on 50.0 % of the images" in text
    assert "\x1b" not in text
