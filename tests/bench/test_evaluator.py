from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from skimage import metrics
from torch import Tensor, nn
from torch.utils.data import DataLoader

from bench.rows import Row, RowStore, read_rows
from bench.scoring.evaluator import Evaluator, shorten_reason
from bench.scoring.networks import Networks
from bench.scoring.perceptual import build_lpips, cut_out, lpips_values
from bench.scoring.scorer import Scorer
from datamodules.color import lab_to_rgb8, rgb8_to_lab
from datamodules.photos import Annotation
from datamodules.protocol import PROTOCOLS, Protocol
from datamodules.types import Boxes, ColorBatch, Failure, GrayBatch
from lightning_modules.base import Colorizer

pytestmark = pytest.mark.filterwarnings("ignore:::pytorch_lightning")
REFERENCE: Any = metrics
WIDTH, HEIGHT = 120, 80
SIDE = 64
SQUARE = PROTOCOLS["stretch256-v1"].resized(SIDE)
ANNOTATIONS = (
    Annotation(7, 18, (11.5, 4.0, 60.0, 50.0), 700.0),
    Annotation(3, 1, (-3.0, 20.3, 200.0, 70.0), 9999.0),
    Annotation(5, 1, (0.0, 0.0, 5.0, 5.0), 20.0),
    Annotation(6, 1, (0.0, 0.0, 100.0, 70.0), 20.0, crowd=True),
)


class Dimmed(Colorizer):
    """Give a share of the true chroma, which it is handed by a side door; a stand-in for a method."""

    def __init__(self, share: float = 0.6, spoilt: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.share = share
        self.spoilt = dict(spoilt or {})

    def test_step(self, batch: ColorBatch, batch_idx: int) -> Tensor:
        chroma = batch.chroma * self.share
        for place, key in enumerate(batch.gray.key):
            if key in self.spoilt:
                chroma[place, 0, 3, 3] = self.spoilt[key]
        return chroma


def make_batch(*keys: str, gray: frozenset[str] = frozenset(), failures: tuple[Failure, ...] = ()) -> ColorBatch:
    pictures = []
    for key in keys:
        generator = torch.Generator().manual_seed(sum(key.encode()))
        coarse = torch.rand(1, 3, 5, 5, generator=generator)
        rgb = nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear")[0] * 255
        pictures.append((rgb.mean(0, keepdim=True).expand(3, -1, -1) if key in gray else rgb).round().to(torch.uint8))
    rgb8 = torch.stack(pictures) if pictures else torch.zeros(0, 3, SIDE, SIDE, dtype=torch.uint8)
    lab = rgb8_to_lab(rgb8)
    nothing = Boxes.empty((HEIGHT, WIDTH))
    two = replace(nothing, xyxy=torch.ones(2, 4), score=torch.ones(2), label=torch.ones(2, dtype=torch.int64))
    boxes = tuple(two if place == 0 else nothing for place in range(len(keys)))
    return ColorBatch(
        gray=GrayBatch(keys, lab[:, :1], boxes, torch.zeros(0, 1, 8, 8)),
        chroma=lab[:, 1:],
        crop_chroma=torch.zeros(0, 2, 8, 8),
        rgb=rgb8,
        label=torch.full((len(keys),), -1),
        photo_size=((HEIGHT, WIDTH),) * len(keys),
        failures=failures,
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RowStore]:
    with RowStore(tmp_path / "run", "r") as opened:
        yield opened


def make_evaluator(
    store: RowStore,
    networks: Networks | None = None,
    metrics: tuple[str, ...] = ("psnr", "ssim"),
    protocol: Protocol = SQUARE,
    truths: Mapping[str, tuple[Annotation, ...]] = MappingProxyType({"a": ANNOTATIONS}),
    **changes: Any,
) -> Evaluator:
    scorer = Scorer(
        run_id=store.run_id,
        protocol=protocol,
        metrics=metrics,
        truths=truths,
        categories={1: "person"},
        networks=networks or Networks(),
    )
    return Evaluator(store, scorer, **changes)


def evaluate(evaluator: Evaluator, method: Colorizer, *batches: ColorBatch) -> dict[str, Row]:
    """Send batches through Lightning's own test loop and return the rows."""
    trainer = pl.Trainer(
        accelerator="cpu",
        callbacks=[evaluator],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    stored: Any = batches
    loader: DataLoader[ColorBatch] = DataLoader(stored, batch_size=None)
    trainer.test(method, loader, verbose=False)
    return read_rows(evaluator.store.path.parent, "r")


def to_array(picture: Tensor) -> Any:
    return picture.permute(1, 2, 0).numpy()


def reference_scores(prediction: Tensor, truth: Tensor) -> dict[str, float]:
    ours, theirs = to_array(prediction), to_array(truth)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "win_size": 11}
    return {
        "psnr": REFERENCE.peak_signal_noise_ratio(theirs, ours, data_range=255),
        "ssim": REFERENCE.structural_similarity(theirs, ours, data_range=255, channel_axis=-1, **settings),
    }


def test_pictures_and_instances_are_scored(store: RowStore) -> None:
    network = build_lpips("squeeze")
    batch = make_batch("a", "b")
    progress: list[int] = []
    evaluator = make_evaluator(
        store, Networks({"lpips_squeeze": network}), ("psnr", "ssim", "lpips_squeeze"), progress=progress.append
    )
    rows = evaluate(evaluator, Dimmed(), batch)
    prediction = lab_to_rgb8(batch.gray.light, batch.chroma * 0.6)
    whole = lpips_values(network, prediction, batch.rgb).tolist()
    for place, key in enumerate("ab"):
        expected = {**reference_scores(prediction[place], batch.rgb[place]), "lpips_squeeze": whole[place]}
        assert rows[key].status == "ok"
        assert rows[key].scores == pytest.approx(expected, abs=1e-6)
        assert (rows[key].width, rows[key].height, rows[key].identical) == (SIDE, SIDE, False)
    assert (rows["a"].n_boxes, rows["b"].n_boxes) == (2, 0)
    assert (rows["a"].n_instances, rows["a"].left_out_small, rows["a"].left_out_crowd) == (2, 1, 1)
    assert rows["b"].instances == ()
    assert sum(progress) == 2

    dog, person = rows["a"].instances
    assert (dog.instance, dog.category, dog.size, person.category, person.size) == (7, "", "small", "person", "large")
    assert (dog.x, dog.y, dog.width, dog.height) == (6, 3, 33, 41)
    assert (person.x, person.y, person.width, person.height) == (0, 16, 64, 48)
    for instance in (dog, person):
        box = (instance.x, instance.y, instance.x + instance.width, instance.y + instance.height)
        ours, theirs = (p[0][:, box[1] : box[3], box[0] : box[2]] for p in (prediction, batch.rgb))
        cutouts = (cut_out(prediction[0], [box]), cut_out(batch.rgb[0], [box]))
        expected = {**reference_scores(ours, theirs), "lpips_squeeze": lpips_values(network, *cutouts).item()}
        assert instance.scores == pytest.approx(expected, abs=1e-6)


def test_a_metric_without_its_network_is_left_out(store: RowStore) -> None:
    rows = evaluate(make_evaluator(store), Dimmed(), make_batch("a"))
    assert list(rows["a"].scores) == ["psnr", "ssim"]
    assert list(rows["a"].instances[0].scores) == ["psnr", "ssim"]


def test_only_the_metrics_asked_for_are_computed(store: RowStore) -> None:
    rows = evaluate(make_evaluator(store, metrics=("ssim",)), Dimmed(), make_batch("a"))
    assert list(rows["a"].scores) == ["ssim"]


def test_an_identical_prediction_is_noted(store: RowStore) -> None:
    rows = evaluate(make_evaluator(store), Dimmed(1.0), make_batch("a"))
    assert rows["a"].identical
    assert rows["a"].scores == {"psnr": 100.0, "ssim": 1.0}


def test_gray_truth_is_scored_and_marked(store: RowStore) -> None:
    rows = evaluate(make_evaluator(store), Dimmed(), make_batch("a", "b", gray=frozenset("a")))
    assert (rows["a"].status, rows["b"].status) == ("gray-truth", "ok")
    assert rows["a"].scores["psnr"] is not None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e20, -1e5])
def test_chroma_that_is_no_number_is_an_error_of_that_picture_alone(value: float, store: RowStore) -> None:
    rows = evaluate(make_evaluator(store), Dimmed(spoilt={"b": value}), make_batch("a", "b", "c"))
    assert {key: row.status for key, row in rows.items()} == {"a": "ok", "b": "error-nonfinite", "c": "ok"}
    assert rows["b"].scores == {}
    assert "not finite" in rows["b"].message


@pytest.mark.parametrize(
    ("answer", "given"),
    [
        (None, "NoneType"),
        (torch.zeros(1, SIDE, SIDE, 2), "(1, 64, 64, 2)"),
        (torch.zeros(1, 2, 8, 8), "(1, 2, 8, 8)"),
        (torch.zeros(1, 2, SIDE, SIDE, dtype=torch.uint8), "torch.uint8"),
    ],
)
def test_an_answer_of_another_form_is_an_error(answer: object, given: str, store: RowStore) -> None:
    evaluator = make_evaluator(store)
    evaluator.score(answer, make_batch("a"))
    row = read_rows(store.path.parent, "r")["a"]
    assert row.status == "error-method"
    assert given in row.message


def test_a_method_that_writes_to_its_input_changes_no_score(store: RowStore, tmp_path: Path) -> None:
    class Writing(Dimmed):
        def test_step(self, batch: ColorBatch, batch_idx: int) -> Tensor:
            batch.gray.light.mul_(0.5).add_(10)
            return super().test_step(batch, batch_idx)

    rows = evaluate(make_evaluator(store), Writing(), make_batch("a", "b"))
    with RowStore(tmp_path / "other", "r") as other:
        wanted = evaluate(make_evaluator(other), Dimmed(), make_batch("a", "b"))
    assert {key: row.scores for key, row in rows.items()} == {key: row.scores for key, row in wanted.items()}


def test_half_precision_is_accepted(store: RowStore) -> None:
    batch = make_batch("a")
    make_evaluator(store).score(batch.chroma.half(), batch)
    assert read_rows(store.path.parent, "r")["a"].status == "ok"


def test_unreadable_pictures_get_their_rows(store: RowStore) -> None:
    failures = (Failure("x", "error-decode", "the file ends early"), Failure("y", "error-size", "too large"))
    some, none = make_batch("a", failures=failures[:1]), make_batch(failures=failures[1:])
    evaluator = make_evaluator(store)
    rows = evaluate(evaluator, Dimmed(), some, none)
    assert {key: row.status for key, row in rows.items()} == {"a": "ok", "x": "error-decode", "y": "error-size"}
    assert (rows["x"].message, rows["x"].width) == ("the file ends early", None)
    assert evaluator.finished == {"a", "x", "y"}


def test_what_is_in_flight_is_known_when_a_method_fails(store: RowStore) -> None:
    class Failing(Dimmed):
        def test_step(self, batch: ColorBatch, batch_idx: int) -> Tensor:
            if "b" in batch.gray.key:
                raise RuntimeError("no more")
            return super().test_step(batch, batch_idx)

    evaluator = make_evaluator(store)
    with pytest.raises(RuntimeError, match="no more"):
        evaluate(evaluator, Failing(), make_batch("a"), make_batch("b", "c"))
    assert evaluator.finished == {"a"}
    assert list(evaluator.in_flight) == ["b", "c"]
    evaluator.fail(["b"], "error-method", "no more")
    assert list(evaluator.in_flight) == ["c"]
    rows = read_rows(store.path.parent, "r")
    assert {key: row.status for key, row in rows.items()} == {"a": "ok", "b": "error-method"}


def test_a_row_does_not_depend_on_the_batch(store: RowStore, tmp_path: Path) -> None:
    evaluate(make_evaluator(store), Dimmed(), make_batch("a", "b", "c"))
    with RowStore(tmp_path / "single", "r") as single:
        evaluate(make_evaluator(single), Dimmed(), *(make_batch(key) for key in "cb"))
    for key in "cb":
        together, alone = read_rows(tmp_path / "run")[key], read_rows(tmp_path / "single")[key]
        assert together.scores == alone.scores


def test_predictions_are_saved_below_the_folder(store: RowStore, tmp_path: Path) -> None:
    batch = make_batch("dogs/1.v2", "dogs/b")
    evaluate(make_evaluator(store, images_dir=tmp_path / "images"), Dimmed(), batch)
    expected = lab_to_rgb8(batch.gray.light, batch.chroma * 0.6)
    for place, name in enumerate(("dogs/1.v2.png", "dogs/b.png")):
        with Image.open(tmp_path / "images" / name) as file:
            assert np.array_equal(np.asarray(file), to_array(expected[place]))


def test_a_name_that_leads_out_of_the_folder_writes_nothing(store: RowStore, tmp_path: Path) -> None:
    batch = make_batch("../out")
    with pytest.raises(ValueError, match="folder"):
        make_evaluator(store, images_dir=tmp_path / "images").score(batch.chroma, batch)
    assert not (tmp_path / "out.png").exists()


def test_boxes_follow_the_crop_of_the_protocol(store: RowStore) -> None:
    protocol = PROTOCOLS["centercrop256-v1"].resized(SIDE)
    truths = {"a": (Annotation(1, 1, (20.0, 0.0, 40.0, 40.0), 1.0), Annotation(2, 1, (0.0, 0.0, 20.0, 80.0), 1.0))}
    rows = evaluate(make_evaluator(store, protocol=protocol, truths=truths), Dimmed(), make_batch("a"))
    (instance,) = rows["a"].instances
    assert (instance.x, instance.y, instance.width, instance.height) == (0, 0, 32, 32)
    assert rows["a"].left_out_small == 1


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("cannot open /home/me/photos/a b.jpg", "cannot open a b.jpg"),
        ("cannot open '/data/x.jpg': gone\nTraceback", "cannot open 'x.jpg': gone"),
        ("~/secret/x.pt is 3/4 done", "x.pt is 3/4 done"),
        (r"C:\Users\me\x.jpg is broken", "x.jpg is broken"),
        ("cannot open /home/Jane Doe/x/y.jpg: gone", "cannot open y.jpg: gone"),
        (r"cannot open C:\Users\Jane Doe\x.jpg", "cannot open x.jpg"),
        ("file:///home/jane/x.jpg and file://host/home/jane/y.jpg", "x.jpg and y.jpg"),
        ("open:/home/jane/x.jpg //home/jane/y.jpg ~jane/z.jpg", "open:x.jpg y.jpg z.jpg"),
        ("/data/v1.2 final/x.jpg or /data/y.png has 1/2", "x.jpg or y.png has 1/2"),
        ("I/O error, 3 / 4 / 5 of it and/or more", "I/O error, 3 / 4 / 5 of it and/or more"),
        ("\n\n first\nsecond", "first"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("", "no reason given"),
        ("x" * 999, "x" * 300),
    ],
)
def test_reasons_hold_no_paths(reason: str, kept: str) -> None:
    assert shorten_reason(reason) == kept
