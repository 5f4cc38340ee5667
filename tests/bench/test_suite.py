"""Suites: what is read, and what is refused with which words."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import catalog
from bench.errors import MissingError, UsageError
from bench.plan import Places, dataset_tree, plan, portable, resolved
from bench.suite import NAME, DatasetChoice, Suite, check_name, load_suite, parse_suite

INTERFACE = """
name: coco-photos-v1
methods: [gray, {id: instcolor-fusion, weights: trained/instcolor}, {id: instcolor-full, weights: untrained}]
detectors: [annotations, {id: yolo, weights: yolov8n-seg-coco.pt, score_threshold: 0.7, max_boxes: 8}]
datasets: [{id: coco, root: photos, annotations: instances.json}, {id: samples}]
protocol: stretch256-v1
metrics: [psnr, ssim, lpips_squeeze]
seeds: [0]
"""


def test_example_of_the_interface() -> None:
    suite = parse_suite(INTERFACE, "example")
    assert [method.name for method in suite.methods] == ["gray", "instcolor-fusion", "instcolor-full"]
    assert suite.methods[2].untrained
    assert suite.detectors[1].score_threshold == 0.7
    assert suite.datasets[0].root == "photos"


def test_ways_to_choose_boxes_are_detectors_of_their_own_name() -> None:
    drawn = "{id: yolo, name: yolo-random, choice: random}"
    above = "{id: yolo, name: yolo-all, score_threshold: 0.3, max_boxes: 100}"
    suite = parse_suite(INTERFACE.replace("detectors: [", f"detectors: [{drawn}, {above}, "), "example")
    assert [one.choice for one in suite.detectors] == ["random", "best", "best", "best"]
    assert [(one.max_boxes, one.kept_boxes) for one in suite.detectors[:3]] == [(8, 100), (100, 100), (8, 8)]
    with pytest.raises(UsageError, match="choice"):
        parse_suite(INTERFACE.replace("max_boxes: 8", "choice: worst"), "example")


def detectors(text: str) -> Suite:
    return parse_suite(f"name: a-v1\nmethods: [gray]\ndatasets: [samples]\ndetectors: [{text}]", "suite.yaml")


def test_a_list_of_errors_stands_for_as_many_detectors() -> None:
    found = detectors(
        "annotations, {id: annotations, drop: [0, 0.25, 1], name: few, max_boxes: 4}, {id: yolo, jitter: 0.2, add: 3}, "
        "{id: annotations, duplicate: [1, 2]}"
    ).detectors
    assert [(one.name, one.kinds, one.seen_boxes) for one in found] == [
        ("annotations", (), 8),
        ("few", (), 4),
        ("few-drop0.25", ("drop",), 4),
        ("few-drop1", ("drop",), 4),
        ("yolo-jitter0.2-add3", ("jitter", "add"), 11),
        ("annotations-duplicate1", ("duplicate",), 16),
        ("annotations-duplicate2", ("duplicate",), 24),
    ]
    assert found[3].exact == found[1].exact != found[0].exact
    written = Suite.model_validate(detectors("{id: annotations, drop: [0.25, 0.5]}").model_dump(mode="json"))
    assert [one.drop for one in written.detectors] == [0.25, 0.5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("drop: 1.5", "drop: Input should be less than or equal to 1, given '1.5'"),
        ("drop: .nan", "drop"),
        ("drop: true", "drop: Input should be a valid number"),
        ("jitter: [0.1, -0.1]", "detectors.1.jitter: Input should be greater than or equal to 0"),
        ("add: 2.5", "add: Input should be a valid integer"),
        ("add: []", "one list with one size or more"),
        ("add: [1], drop: [0.5]", r"drop: \[0.5\], add: \[1\]: give one list"),
        ("drop: [0.5, 0.5]", "two detectors are called 'annotations-drop0.5'"),
        ("duplicate: 12", "8 boxes with `duplicate: 12` become 104, more than the 100"),
        ("add: 1, choice: random", "leave `choice: random` out"),
        ("jiter: 0.1", "did you mean jitter"),
    ],
)
def test_errors_that_cannot_be_made_are_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        detectors(f"{{id: annotations, {text}}}")


def test_no_boxes_cannot_have_errors() -> None:
    with pytest.raises(UsageError, match="the detector `none` has no boxes"):
        detectors("{id: none, add: 1}")


def test_methods_without_boxes_run_once() -> None:
    folders = [run.folder for run in plan(parse_suite(INTERFACE, "example"))]
    assert folders == [
        f"runs/{dataset}/{name}--s0"
        for dataset in ("coco", "samples")
        for name in (
            "gray--none",
            "instcolor-fusion--annotations",
            "instcolor-fusion--yolo",
            "instcolor-full--none",
        )
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("methods: [instcolor-fuson]", "did you mean instcolor-fusion"),
        ("detectors: [yolov8]", "did you mean yolo"),
        ("datasets: [{id: sample}]", "did you mean samples"),
        ("protocol: stretch256", "did you mean stretch256-v1"),
        ("metrics: [pnsr]", "did you mean psnr"),
        ("metrcs: [psnr]", "did you mean metrics"),
        ("methods: [gray, gray]", "two methods are called 'gray'"),
        ("methods: [{id: gray, name: ../x}]", "cannot be a name"),
        ("seeds: [-1]", "whole numbers from 0"),
        ("name: [a]", "name"),
        ("methods: []", "methods"),
        ("limit: 0", "limit"),
        ("methods: !!python/object/apply:os.system ['true']", "not YAML"),
        ("methods: &m [gray]\ndatasets: *m", "aliases"),
        ("name: a\nname: b", "stands twice"),
    ],
)
def test_refusals_name_what_was_wrong(change: str, words: str) -> None:
    key = change.split(":")[0]
    kept = [line for line in INTERFACE.strip().splitlines() if not line.startswith(f"{key}:")]
    if "\n" in change:
        kept = [line for line in kept if not line.startswith(("datasets:", "name:"))]
    with pytest.raises(UsageError, match=words.replace("(", r"\(").replace("*", r"\*")):
        parse_suite("\n".join([*kept, change]), "suite.yaml")


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(UsageError, match="not YAML"):
        parse_suite("[" * 5000, "deep.yaml")


def test_huge_file_is_refused() -> None:
    with pytest.raises(UsageError, match="at most"):
        parse_suite("#" * 2_000_000, "huge.yaml")


@given(st.text(max_size=120))
def test_names_are_folders(name: str) -> None:
    if NAME.fullmatch(name):
        assert check_name(name) == name
        assert Path(name).name == name
    else:
        with pytest.raises(UsageError):
            check_name(name)


def test_shipped_suites_are_read() -> None:
    for name in catalog.suites():
        suite, _ = load_suite(name)
        assert suite.name == name


def test_relative_data_is_looked_for_below_the_data_root_first(tmp_path: Path) -> None:
    beside, root = tmp_path / "suite", tmp_path / "data"
    (beside / "photos").mkdir(parents=True)
    (root / "photos").mkdir(parents=True)
    assert Places(beside, root).find("photos", "photos") == root / "photos"
    assert Places(beside).find("photos", "photos") == beside / "photos"
    with pytest.raises(MissingError, match="--data-root"):
        Places(beside, root).find("elsewhere", "photos")


def test_dataset_settings_reach_the_tree(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "boxes.json").touch()
    suite = parse_suite(INTERFACE.replace("instances.json", "boxes.json"), "example")
    settings = dataset_tree(suite.datasets[0], Places(tmp_path))["init_args"]
    assert settings["root"] == str(tmp_path / "photos")
    assert settings["annotations"] == str(tmp_path / "boxes.json")


def test_without_a_root_the_usual_name_or_the_data_root_itself_is_taken(tmp_path: Path) -> None:
    choice = DatasetChoice(id="coco")
    assert dataset_tree(choice, Places(Path(), tmp_path))["init_args"]["root"] == str(tmp_path)
    (tmp_path / "coco").mkdir()
    assert dataset_tree(choice, Places(Path(), tmp_path))["init_args"]["root"] == str(tmp_path / "coco")


def test_a_run_resolves_to_a_suite_without_absolute_paths(tmp_path: Path) -> None:
    suite = parse_suite(INTERFACE.replace("root: photos", f"root: {tmp_path}/photos"), "example")
    run = plan(suite)[0]
    single = resolved(suite, run, Places(Path(), tmp_path), {"dataset": "0"})
    again = Suite.model_validate(single.model_dump(mode="json"))
    assert again == single
    assert str(tmp_path) not in single.model_dump_json()
    assert single.datasets[0].root == "photos"
    assert [item.folder for item in plan(again)] == [run.folder]


@pytest.mark.parametrize(("path", "kept"), [(None, None), ("a/b", "a/b"), ("/x/y/weights", "weights")])
def test_portable(path: str | None, kept: str | None) -> None:
    assert portable(path) == kept
