"""Studies: what they declare, what they keep, and a page whose every number can be traced to its files."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from bench.catalog import data_tree, with_settings
from bench.errors import CommandError, MissingError, UsageError
from bench.plan import plan
from bench.provenance import is_ancestor
from bench.recipe import load_recipe
from bench.record import RunRecord
from bench.rows import read_rows
from bench.studies import costs, reproduce
from bench.studies.compare import differences
from bench.studies.costs import COST, Cost, Start, check_made, read_cost
from bench.studies.curves import learning_curves
from bench.studies.declared import Declared, load_study
from bench.studies.facts import count_photos
from bench.studies.files import (
    BUDGET,
    BUDGET_COLUMNS,
    CURVE_COLUMNS,
    CURVES,
    FACTS,
    read_numbers,
    read_records,
    read_scores,
    write_scores,
)
from bench.studies.grids import MARGIN, TILE, credit_lines, draw_grid
from bench.studies.page import Numbers, number, page_files, write_page
from bench.studies.reproduce import Workplace, check_whole, command, compare, train_all
from bench.tables import write_table
from datamodules.photos import Annotation, Photo

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted((ROOT / "results" / "studies").glob("*/study.yaml"))
OTHER_BUDGETS = {"instcolor-stage1", "zhang-eccv16-l2-ft"}
"""A first stage by itself, and what goes on from a whole training; the page says so."""
PUBLISHED = [path.parent for path in STUDIES if (path.parent / "records").is_dir()]

DECLARED: dict[str, Any] = {
    "id": "tiny-v1",
    "title": "A study of nothing",
    "machine": "one core",
    "data": "photos.yaml",
    "recipe": "tiny.yaml",
    "suite": "suite.yaml",
    "against": "gray--none",
    "seeds": [0, 1],
    "trainings": [
        {"name": "stage1", "method": "instcolor-full"},
        {"name": "instcolor-instance", "method": "instcolor-instance", "init": "stage1", "set": {"width": 0.0625}},
    ],
}
SUITE: dict[str, Any] = {
    "name": "tiny-v1",
    "methods": ["gray", {"id": "instcolor-instance", "weights": "trained/instcolor-instance--s{seed}"}],
    "datasets": [{"id": "synthetic", "count": 2, "size": 64}],
    "metrics": ["psnr", "ssim"],
    "seeds": [0, 1],
}
ONE_BOX = {"boxes_only": True, "box_choice": "random", "max_boxes": 1}
RECIPE: dict[str, Any] = {
    "id": "tiny",
    "train_size": 32,
    "batch_size": 4,
    "model": {"width": 0.0625, "input_size": 32, "crop_size": 32},
    "stages": {
        "instcolor-full": {"steps": 2, "learning_rate": 1e-3},
        "instcolor-instance": {"steps": 2, "learning_rate": 1e-3, "data": ONE_BOX},
    },
}
TEMPLATE = """{% set over = numbers.difference("image", "instcolor-instance--annotations", study.against) %}
{{ study.id }}: {{ over.mean|signed }} dB over gray, {{ "clear" if over.clear else "unclear" }}
{% for line in budget %}
{{ line.training }} {{ line.seed }} {{ line.pictures_in_all }}
{% endfor %}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Return the folder of a study that is declared and has no results."""
    folder = tmp_path / "tiny-v1"
    folder.mkdir()
    scenes = with_settings(data_tree("synthetic"), {"size": 48, "train": 12, "val": 2, "test": 2})
    contents = {"study": DECLARED, "suite": SUITE, "tiny": RECIPE, "photos": scenes}
    for name, content in contents.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    (folder / "findings.md.j2").write_text(TEMPLATE)
    return folder


@pytest.fixture
def finished(study: Path, tmp_path: Path, finish_run: Callable[..., RunRecord]) -> Path:
    """Return the folder of a study whose results are there, made without training."""
    out = tmp_path / "work" / "run"
    runs = {}
    for seed in (0, 1):
        for method, detector, psnr in (("gray", "none", 20.0), ("instcolor-instance", "annotations", 21.0 + seed)):
            scores = {f"p{picture}": {"psnr": psnr + picture, "ssim": 0.5} for picture in range(3)}
            record = finish_run(out, scores, method=method, detector=detector, seed=seed)
            name = f"{method}--{detector}--s{seed}"
            (study / "records").mkdir(exist_ok=True)
            (study / "records" / f"{name}.json").write_text(record.to_json())
            runs[name] = read_rows(out / "runs" / "samples" / name)
    write_scores(study, runs, ("psnr", "ssim"))
    stages = (("stage1", "instcolor-full", 8), ("instcolor-instance", "instcolor-instance", 16))
    cost = (5.5, "yes", "c" * 40)
    budget = [
        (name, seed, stage, 2, 4, 8, in_all, 1e-3, 100, *cost) for name, stage, in_all in stages for seed in (0, 1)
    ]
    write_table(study / BUDGET, BUDGET_COLUMNS, budget)
    write_table(study / CURVES, CURVE_COLUMNS, [("stage1", 0, 4, 2.0, None), ("stage1", 0, 8, 1.5, 1.75)])
    (study / FACTS).write_text(json.dumps({"train": {"scenes": {"photos": 12}}, "val": {}, "test": {"samples": 3}}))
    return study


def change(path: Path, **values: Any) -> None:
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.parent.name)
def test_studies_are_declared_whole(path: Path) -> None:
    declared = load_study(path.parent)
    assert declared.study.id == path.parent.name
    assert (path.parent / "findings.md.j2").is_file()
    for name in (declared.study.data, declared.study.recipe, declared.study.suite):
        assert not name.endswith(".yaml") or (path.parent / name).is_file()


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.parent.name)
def test_templates_fit_what_they_are_given(path: Path, tmp_path: Path, finish_run: Callable[..., RunRecord]) -> None:
    folder = Path(shutil.copytree(path.parent, tmp_path / "copy", ignore=shutil.ignore_patterns("records", "scores")))
    declared = load_study(folder)
    (folder / "records").mkdir()
    runs = {}
    for run in plan(declared.suite):
        metrics = declared.suite.metrics
        scores = {f"p{place}": {**dict.fromkeys(metrics, 0.5), "psnr": 20.0 + place} for place in range(3)}
        method, detector = run.method.name, run.detector.name
        record = finish_run(tmp_path, scores, method=method, detector=detector, seed=run.seed, metrics=metrics)
        name = f"{method}--{detector}--s{run.seed}"
        (folder / "records" / f"{name}.json").write_text(record.to_json())
        runs[name] = read_rows(tmp_path / "runs" / "samples" / name)
    write_scores(folder, runs, declared.suite.metrics)
    costs_known = (8, 8, 1e-3, 100, 65.5, "no", "c" * 40)
    lines = [(each.name, seed, each.method, 1, 8, *costs_known) for each in declared.study.trainings for seed in (0, 1)]
    write_table(folder / BUDGET, BUDGET_COLUMNS, lines)
    write_table(folder / CURVES, CURVE_COLUMNS, [("zhang-eccv16", 0, 8, 2.0, 3.0)])
    counts = {"coco": {"photos": 265, "with_boxes": 263}, "imagenet": {"photos": 922, "classes": 922}}
    recipe = load_recipe(declared.beside(declared.study.recipe)).model_dump(mode="json", exclude_defaults=True)
    facts = {"train": counts, "val": counts, "test": {"photos": 3}, "recipe": recipe}
    (folder / FACTS).write_text(json.dumps(facts))
    page = write_page(declared).read_text()
    assert "at least 66" in page
    assert "cccccccccccc" in page
    assert " 1187 photos" in page


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_committed_pages_follow_from_their_files(folder: Path) -> None:
    for name, text in page_files(load_study(folder)).items():
        if name.endswith(".svg"):
            assert (folder / name).is_file()
        else:
            assert (folder / name).read_text(encoding="utf-8") == text, f"{name}: run reproduce --page-only"


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_committed_scores_give_the_means_of_the_records(folder: Path) -> None:
    for record in read_records(folder):
        assert record.git_commit
        assert not record.git_dirty
        run = f"{record.method}--{record.detector}--s{record.seed}"
        for level, scores in (("image", record.image), ("instance", record.instance)):
            for metric, score in scores.items():
                values = [line[run] for line in read_scores(folder, level, metric).values()]
                present = [value for value in values if value is not None]
                assert len(present) == score.n
                assert math.fsum(present) / len(present) == score.mean


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_committed_studies_keep_their_budget(folder: Path) -> None:
    declared = load_study(folder)
    lines = read_numbers(folder / BUDGET)
    seen = {(line["training"], line["seed"]): line["pictures_in_all"] for line in lines}
    full = {
        seen[method.name, seed]
        for method in declared.suite.methods
        for seed in declared.study.seeds
        if (method.name, seed) in seen and method.name not in OTHER_BUDGETS
    }
    assert len(full) == 1, "every method has seen the same number of pictures"


def test_a_training_goes_on_from_an_earlier_one(study: Path) -> None:
    declared = load_study(study)
    assert [training.name for training in declared.study.chain("instcolor-instance")] == [
        "stage1",
        "instcolor-instance",
    ]
    words = command(declared, declared.study.trainings[1], 1, Workplace(Path("work"), Path("data")))
    given = dict(zip(words[2::2], words[3::2], strict=True))
    assert words[:2] == ["train", "instcolor-instance"]
    assert given["--init"] == "work/trained/stage1--s1"
    assert given["--out"] == "work/trained/instcolor-instance--s1"
    assert given["--set"] == "width=0.0625"
    assert given["--recipe"] == str(study / "tiny.yaml")


WRONG: Mapping[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"seed": [0]}, "did you mean seeds"),
    "later init": ({"trainings": DECLARED["trainings"][::-1]}, "earlier training"),
    "twice": ({"trainings": [dict(DECLARED["trainings"][0]) for _ in range(2)]}, "two trainings are called 'stage1'"),
    "method": ({"trainings": [{"name": "a", "method": "zhang-eccv17"}]}, "did you mean zhang-eccv16"),
    "seeds": ({"seeds": [0]}, r"suite.yaml has \[0, 1\]"),
    "untrained": ({"trainings": DECLARED["trainings"][:1]}, "no training is called 'instcolor-instance'"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_declarations_are_explained(kind: str, study: Path) -> None:
    changes, said = WRONG[kind]
    change(study / "study.yaml", **changes)
    with pytest.raises(UsageError, match=said):
        load_study(study)


def test_no_study_no_records(study: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"holds no study\.yaml"):
        load_study(tmp_path)
    with pytest.raises(MissingError, match="holds no records"):
        page_files(load_study(study))


def test_the_page_is_rendered_from_files_alone(finished: Path) -> None:
    page = write_page(load_study(finished)).read_text()
    assert "tiny-v1: +1.50 dB over gray, clear" in page
    assert "instcolor-instance 1 16" in page
    assert {path.name for path in finished.glob("leaderboard.*")} == {"leaderboard.md", "leaderboard.csv"}
    assert page_files(load_study(finished)) == page_files(load_study(finished)), "equal bytes, the figure too"


def test_an_unknown_name_in_a_template_is_an_error(finished: Path) -> None:
    (finished / "findings.md.j2").write_text('{{ numbers.mean("image", "grey--none") }}')
    with pytest.raises(UsageError, match="did you mean gray--none"):
        page_files(load_study(finished))


def test_differences_are_paired_and_weighted_by_instance(finished: Path) -> None:
    numbers = Numbers(load_study(finished), read_records(finished))
    image = numbers.difference("image", "instcolor-instance--annotations", "gray--none")
    assert (image.mean, image.low, image.high, image.by_seed) == (1.5, 1.5, 1.5, (1.0, 2.0))
    assert numbers.difference("instance", "instcolor-instance--annotations", "gray--none").mean == 1.5
    assert numbers.spread("image", "instcolor-instance--annotations") == 1.0
    assert [pair[2].mean for pair in numbers.neighbours("image")] == [1.5]


def test_seeds_that_disagree_are_not_told_apart(finished: Path) -> None:
    path = finished / "scores" / "image-psnr.csv"
    lines = read_scores(finished, "image", "psnr")
    for scores in lines.values():
        scores["instcolor-instance--annotations--s0"] = (scores["gray--none--s0"] or 0.0) - 0.5
    names = list(next(iter(lines.values())))
    write_table(path, ("image", *names), [(key, *scores.values()) for key, scores in lines.items()])
    numbers = Numbers(load_study(finished), read_records(finished))
    found = numbers.difference("image", "instcolor-instance--annotations", "gray--none")
    assert found.low > 0
    assert not found.clear


def test_repeated_runs_are_compared_with_the_records(
    finished: Path, tmp_path: Path, finish_run: Callable[..., RunRecord]
) -> None:
    out = tmp_path / "again"
    finish_run(out, {f"p{picture}": {"psnr": 20.0 + picture, "ssim": 0.5} for picture in range(3)}, seed=0)
    finish_run(out, {f"p{picture}": {"psnr": 20.5 + picture, "ssim": 0.5} for picture in range(3)}, seed=1)
    records = read_records(finished)
    assert [(line.text, line.near) for line in differences(records, out, ["gray"])] == [
        ("gray--none--s0: equal to the bit", True),
        ("gray--none--s1: differs by image psnr +0.5, instance psnr +0.5", False),
    ]
    missing = differences(records, out, ["instcolor-instance"])[0]
    assert missing.text.endswith("not repeated")
    assert not missing.near
    assert differences([], out, ["gray"]) == []
    with pytest.raises(CommandError, match=r"1 of 2 runs are not .* by more than 1%"):
        compare(records, out, ["gray"], strict=True)
    compare(records, out, ["gray"], strict=False)
    compare(records[:1], out, ["gray"], strict=True)


def test_a_hundredth_of_a_score_is_near(
    finished: Path, tmp_path: Path, finish_run: Callable[..., RunRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "again"
    finish_run(out, {f"p{picture}": {"psnr": 20.2 + picture, "ssim": 0.5} for picture in range(3)}, seed=0)
    (line,) = differences(read_records(finished)[:1], out, ["gray"])
    assert (line.text, line.near) == ("gray--none--s0: differs by image psnr +0.2, instance psnr +0.2", True)
    compare([], out, ["gray"], strict=True)
    assert "no records yet" in capsys.readouterr().err


@pytest.fixture
def at_commit(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bool], None]:
    """Return a function that says which commit the checkout is at, and whether it has changes."""

    def pretend(commit: str, dirty: bool = False) -> None:
        for place in ("bench.record.git_state", "bench.studies.reproduce.git_state"):
            monkeypatch.setattr(place, lambda: (commit, dirty))
        monkeypatch.setattr(costs, "read_git_state", lambda: (commit, dirty))

    return pretend


def test_records_of_a_page_are_of_one_clean_commit(
    study: Path, tmp_path: Path, finish_run: Callable[..., RunRecord], at_commit: Callable[..., None]
) -> None:
    declared, place = load_study(study), Workplace(tmp_path)
    at_commit("a" * 40)
    finish_run(tmp_path / "run", {"p0": {"psnr": 20.0}})
    check_whole(declared, place)
    at_commit("b" * 40)
    finish_run(tmp_path / "run", {"p0": {"psnr": 20.0}}, seed=1)
    with pytest.raises(CommandError, match="are of 2 commits"):
        check_whole(declared, place)
    at_commit("a" * 40, dirty=True)
    finish_run(tmp_path / "run", {"p0": {"psnr": 20.0}}, seed=1, salt="new")
    with pytest.raises(CommandError, match="uncommitted changes, such as gray--none--s1"):
        check_whole(declared, place)


def test_a_changed_checkout_is_refused_before_anything_is_trained(
    study: Path, tmp_path: Path, at_commit: Callable[..., None]
) -> None:
    at_commit("a" * 40, dirty=True)
    with pytest.raises(CommandError, match="commit first"):
        reproduce.reproduce(study, Workplace(tmp_path / "work"))
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("starts", "said"),
    [
        ([("a", False)], None),
        ([("a", False), ("b", False)], "trained by commit bbbbbbbbbbbb, the records are of aaaaaaaaaaaa"),
        ([("a", True)], "uncommitted changes"),
        ([], None),
    ],
)
def test_trainings_of_other_code_are_not_used(starts: list[tuple[str, bool]], said: str | None, tmp_path: Path) -> None:
    made = tuple(Start(commit=commit * 40, dirty=dirty, cpu_seconds=1.0) for commit, dirty in starts)
    Cost(declared="d", done=True, starts=made).save(tmp_path)
    if said is None:
        check_made([tmp_path, tmp_path / "not-begun"], ["a" * 40])
    else:
        with pytest.raises(UsageError, match=said):
            check_made([tmp_path], ["a" * 40])


def test_a_training_of_an_earlier_commit_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    commits = [git("commit", "-q", "--allow-empty", "-m", "x") or git("rev-parse", "HEAD") for _ in range(2)]
    monkeypatch.setattr(costs, "is_ancestor", partial(is_ancestor, root=tmp_path))
    made = Start(commit=commits[0], dirty=False, cpu_seconds=1.0)
    Cost(declared="d", done=True, starts=(made,)).save(tmp_path)
    check_made([tmp_path], [commits[1]])
    Cost(declared="d", done=True, starts=(made.model_copy(update={"commit": commits[1]}),)).save(tmp_path)
    with pytest.raises(UsageError, match="trained by commit"):
        check_made([tmp_path], [commits[0]])


def test_costs_without_commits_are_refused(tmp_path: Path) -> None:
    (tmp_path / COST).write_text('{"declared": "d", "cpu_seconds": 3.0, "done": true}')
    with pytest.raises(UsageError, match="does not say which code trained"):
        read_cost(tmp_path)


def test_photos_are_counted_with_their_boxes_and_classes() -> None:
    boxed, crowd = (Annotation(one, 1, (0.0, 0.0, 4.0, 4.0), 16.0, crowd=one == 2) for one in (1, 2))
    photos = [Photo("coco/a", (boxed,)), Photo("coco/b", (crowd,)), Photo("coco/c")]
    photos += [Photo(f"imagenet/{name}", label=label) for name, label in (("x", 3), ("y", 3), ("z", 5))]
    assert count_photos(photos) == {
        "coco": {"photos": 3, "with_boxes": 1, "classes": 0},
        "imagenet": {"photos": 3, "with_boxes": 0, "classes": 2},
    }


def test_trainings_wait_for_each_other_and_are_not_repeated(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_commit: Callable[..., None]
) -> None:
    at_commit("a" * 40)
    place = Workplace(tmp_path / "work", jobs=2)
    script = "import sys; open(sys.argv[sys.argv.index('--out') + 1] + '/ran', 'a').write('x')"
    monkeypatch.setattr(reproduce, "COMMAND", (sys.executable, "-c", script))
    declared = load_study(study)
    for _ in range(2):
        train_all(declared, declared.study.trainings, place)
    folders = sorted((tmp_path / "work" / "trained").iterdir())
    assert len(folders) == 4
    assert {(folder / "ran").read_text() for folder in folders} == {"x"}
    costs_read = [read_cost(folder) for folder in folders]
    assert all(cost.done and cost.complete and len(cost.starts) == 1 for cost in costs_read)
    assert all(cost.commits == ["a" * 40] for cost in costs_read)
    change(study / "tiny.yaml", batch_size=2)
    with pytest.raises(UsageError, match="trained otherwise than the study now says"):
        train_all(load_study(study), declared.study.trainings, place)


def test_a_training_that_fails_is_named_and_begun_again(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_commit: Callable[..., None]
) -> None:
    declared, place = load_study(study), Workplace(tmp_path / "work")
    at_commit("a" * 40)
    monkeypatch.setattr(reproduce, "COMMAND", (sys.executable, "-c", "import sys; sys.exit('no photos')"))
    with pytest.raises(CommandError, match="stage1--s0 ended with status 1: no photos"):
        train_all(declared, declared.study.trainings, place)
    first = read_cost(tmp_path / "work" / "trained" / "stage1--s0")
    at_commit("b" * 40)
    monkeypatch.setattr(reproduce, "COMMAND", (sys.executable, "-c", ""))
    train_all(declared, declared.study.trainings, place)
    cost = read_cost(tmp_path / "work" / "trained" / "stage1--s0")
    assert not first.done
    assert cost.done
    assert cost.commits == ["a" * 40, "b" * 40]
    assert cost.cpu_seconds > first.cpu_seconds > 0


def test_a_start_whose_end_nobody_saw_leaves_the_sum_incomplete(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_commit: Callable[..., None]
) -> None:
    at_commit("a" * 40)
    declared, place = load_study(study), Workplace(tmp_path / "work")
    folder = tmp_path / "work" / "trained" / "stage1--s0"
    monkeypatch.setattr(reproduce, "COMMAND", (sys.executable, "-c", ""))

    def killed(*arguments: object, **settings: object) -> None:
        raise MemoryError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("subprocess.Popen", killed)
        with pytest.raises(MemoryError, match="killed"):
            train_all(declared, declared.study.trainings[:1], place)
    assert not read_cost(folder).complete
    train_all(declared, declared.study.trainings[:1], place)
    cost = read_cost(folder)
    assert (cost.done, cost.complete, len(cost.starts)) == (True, False, 2)


def test_curves_have_a_panel_a_training() -> None:
    lines = [
        {"training": name, "seed": seed, "pictures": 8 * step, "train_loss": 2.0 / step, "val_loss": math.nan}
        for name in ("one", "two", "three", "four")
        for seed in (0, 1)
        for step in (1, 2)
    ]
    figure = learning_curves(lines)
    assert all(f">{name}<" in figure for name in ("one", "two", "three", "four"))
    assert "<date>" not in figure


def test_grids_are_labels_and_tiles(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (300, 200), "red").save(path)
    grid = draw_grid([("truth", [path, path]), ("method", [path, path])])
    assert grid.size == (MARGIN + 2 * TILE, 2 * TILE)
    assert grid.getpixel((MARGIN + 5, TILE + 5)) == (255, 0, 0)
    with pytest.raises(MissingError, match=r"blue\.png is not there"):
        draw_grid([("truth", [tmp_path / "blue.png"])])


def test_small_pictures_are_doubled_without_smoothing(tmp_path: Path) -> None:
    path = tmp_path / "small.png"
    picture = Image.new("RGB", (64, 64), "red")
    picture.putpixel((3, 0), (0, 0, 255))
    picture.save(path)
    grid = draw_grid([("truth", [path])])
    assert grid.size == (MARGIN + 128, 128)
    shown = grid.crop((MARGIN, 0, MARGIN + 128, 128))
    blue = {(x, y) for x in range(128) for y in range(128) if shown.getpixel((x, y)) == (0, 0, 255)}
    assert blue == {(6, 0), (7, 0), (6, 1), (7, 1)}
    assert {color for _, color in shown.getcolors() or ()} == {(255, 0, 0), (0, 0, 255)}


@pytest.fixture
def coco(tmp_path: Path, study: Path) -> Declared:
    """Return a study on a COCO folder whose first picture is free and whose second one is not."""
    licenses = [{"id": 3, "name": "NoDerivs", "url": "http://creativecommons.org/licenses/by-nd/2.0/"}]
    licenses += [{"id": 4, "name": "Attribution", "url": "http://creativecommons.org/licenses/by/2.0/"}]
    images = [
        {"file_name": f"{name}.jpg", "license": number, "flickr_url": f"http://example.org/{name}"}
        for name, number in (("free", 4), ("bound", 3))
    ]
    folder = tmp_path / "coco" / "annotations"
    folder.mkdir(parents=True)
    (folder / "instances_val2017.json").write_text(json.dumps({"licenses": licenses, "images": images}))
    change(study / "suite.yaml", datasets=[{"id": "coco"}])
    change(study / "study.yaml", pictures=["free"])
    return load_study(study)


def test_pictures_need_a_licence_that_allows_them(coco: Declared, tmp_path: Path) -> None:
    address = "http://creativecommons.org/licenses/by/2.0/"
    assert credit_lines(coco, tmp_path) == [("free", "Attribution", address, "http://example.org/free")]
    change(coco.folder / "study.yaml", pictures=["bound"])
    with pytest.raises(UsageError, match="'bound' has no licence that allows it"):
        credit_lines(load_study(coco.folder), tmp_path)


def test_numbers_are_written_for_people() -> None:
    assert number(1234567, 0) == "1 234 567"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_study_is_repeated_from_end_to_end(study: Path, tmp_path: Path, at_commit: Callable[..., None]) -> None:
    at_commit("a" * 40)
    assert reproduce.reproduce(study, Workplace(tmp_path / "work", jobs=2)) == 0
    files = contents(study)
    assert len([name for name in files if name.startswith("records/")]) == 4
    assert {line["pictures_in_all"] for line in read_numbers(study / BUDGET)} == {8, 16}
    assert read_numbers(study / CURVES)
    method = "instcolor-instance"
    assert reproduce.reproduce(study, Workplace(tmp_path / "again", only=method)) == 0
    said = differences(read_records(study), tmp_path / "again" / "run", [method])
    assert [line.text for line in said] == [f"{method}--annotations--s{seed}: equal to the bit" for seed in (0, 1)]
    assert contents(study) == files
