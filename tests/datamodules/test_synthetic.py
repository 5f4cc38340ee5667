import dataclasses
import hashlib
import pickle

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

from datamodules.photos import Annotation, Segmentation
from datamodules.sources.painting import develop, hue_to_tint, own_pixels
from datamodules.sources.scenes import CATEGORIES, GROUND_HUES, SHAPE_TURNS, TEXTURE_HUES, VERSION
from datamodules.sources.synthetic import SyntheticSource, mask_to_counts
from datamodules.synthetic import SyntheticDataModule

GOLDEN = "bb6dfa6f9e4a051e1f476c4800db1c4c26aff75e501708b79f0ce3140650dadb"


def decode(annotation: Annotation) -> np.ndarray:
    assert annotation.segmentation is not None
    code = annotation.segmentation.unpack()
    height, width = code["size"]
    line = np.concatenate([np.full(count, place % 2, dtype=bool) for place, count in enumerate(code["counts"])])
    return line.reshape(width, height).T


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource("test", count=12)


def test_one_scene_is_drawn_as_ever(source: SyntheticSource) -> None:
    assert VERSION == 1, "a new version of the generator has a new golden digest"
    assert hashlib.sha256(source.read("test-00003").tobytes()).hexdigest() == GOLDEN


def test_scenes_follow_from_seed_split_and_index(source: SyntheticSource) -> None:
    again = SyntheticSource("test", count=5)
    assert again.photos == source.photos[:5]
    np.testing.assert_array_equal(again.read("test-00004"), source.read("test-00004"))


def test_no_two_scenes_are_the_same() -> None:
    drawn = [
        SyntheticSource(split, count=6, size=64, seed=seed).read(f"{split}-{index:05d}").tobytes()
        for split in ("train", "val", "test")
        for seed in (0, 1, 2**32)
        for index in range(6)
    ]
    assert len(set(drawn)) == len(drawn)


def test_pictures_are_in_color_and_not_clipped(source: SyntheticSource) -> None:
    for photo in source.photos:
        picture = source.read(photo.key)
        assert picture.shape == (256, 256, 3)
        assert picture.dtype == np.uint8
        lab = rgb2lab(picture)
        assert 30 < np.hypot(lab[..., 1], lab[..., 2]).mean() < 62
        assert lab[..., 0].min() > 10
        assert (picture == 255).all(axis=2).mean() < 0.001


def test_labels_name_the_ground(source: SyntheticSource) -> None:
    assert list(source.classes) == list(GROUND_HUES)
    assert len({photo.label for photo in SyntheticSource("train", 60, size=32).photos}) == len(GROUND_HUES)
    for index, photo in enumerate(source.photos):
        assert source.classes[photo.label] == source.layout(index).ground


def test_masks_boxes_and_areas_agree(source: SyntheticSource) -> None:
    for photo in source.photos:
        taken = np.zeros((256, 256), dtype=int)
        for annotation in photo.annotations:
            mask = decode(annotation)
            taken += mask
            rows, columns = np.nonzero(mask)
            box = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
            assert annotation.bbox == tuple(map(float, box))
            assert annotation.area == mask.sum()
            assert annotation.category_id in source.categories
        assert taken.max() <= 1, "visible parts do not overlap"


def test_hidden_objects_are_not_annotated() -> None:
    source = SyntheticSource("train", count=60)
    hidden = 0
    for index, photo in enumerate(source.photos):
        layout = source.layout(index)
        owner, areas = own_pixels(layout, 256)
        shares = [np.count_nonzero(owner == number) / area for number, area in enumerate(areas)]
        assert [one.id for one in photo.annotations] == [
            100 * index + number + 1 for number, share in enumerate(shares) if share >= 0.3
        ]
        hidden += len([share for share in shares if share < 0.3])
    assert hidden > 0


def test_objects_are_many_and_small() -> None:
    photos = SyntheticSource("train", count=60).photos
    counts = [len(photo.annotations) for photo in photos]
    longest = [max(one.bbox[2:]) for photo in photos for one in photo.annotations]
    assert 8 < np.mean(counts) < 12
    assert max(longest) <= 64
    assert np.median(longest) < 40
    assert {one.category_id for photo in photos for one in photo.annotations} == set(CATEGORIES)


def test_hue_of_an_object_is_that_of_its_kind(source: SyntheticSource) -> None:
    for index, photo in enumerate(source.photos):
        lab = rgb2lab(source.read(photo.key))
        layout = source.layout(index)
        for annotation in photo.annotations:
            thing = layout.things[annotation.id % 100 - 1]
            texture, shape = source.categories[annotation.category_id].split()
            a, b = lab[decode(annotation)][:, 1:].mean(axis=0)
            expected = TEXTURE_HUES[texture] + SHAPE_TURNS[shape]
            assert (thing.texture, thing.shape) == (texture, shape)
            assert abs((np.degrees(np.arctan2(b, a)) - expected + 180) % 360 - 180) < 25
            assert np.hypot(a, b) > 18


def test_lightness_does_not_tell_the_hue() -> None:
    source = SyntheticSource("train", count=150)
    things = [thing for index in range(150) for thing in source.layout(index).things]
    light = np.array([thing.light for thing in things])
    for texture in TEXTURE_HUES:
        own = light[[thing.texture == texture for thing in things]]
        assert abs(own.mean() - light.mean()) < 2
        assert own.std() > 5


def test_texture_is_gone_from_the_small_picture_but_not_from_the_crop() -> None:
    source = SyntheticSource("test", count=30)
    whole, crops = [], []
    for index, photo in enumerate(source.photos):
        gray = Image.fromarray(source.read(photo.key)).convert("L")
        small = np.asarray(gray.resize((64, 64), Image.Resampling.BILINEAR), dtype=float)
        for annotation in photo.annotations:
            thing = source.layout(index).things[annotation.id % 100 - 1]
            reach = 0.4 * thing.radius
            if thing.radius < 16 or annotation.area < 0.5 * thing.radius**2:
                continue
            box = thing.x - reach, thing.y - reach, thing.x + reach, thing.y + reach
            crop = gray.crop(box).resize((64, 64), Image.Resampling.BILINEAR)
            left, top, right, bottom = (round(edge / 4) for edge in box)
            whole.append(small[top:bottom, left:right].std())
            crops.append(np.asarray(crop, dtype=float).std())
    assert len(crops) > 50
    assert np.median(crops) > 2.5 * np.median(whole)


def test_scene_of_another_size_is_the_same_scene(source: SyntheticSource) -> None:
    large = source.read("test-00001")
    small = SyntheticSource("test", count=12, size=128).read("test-00001")
    shrunk = np.asarray(Image.fromarray(large).resize((128, 128), Image.Resampling.BOX), dtype=float)
    assert small.shape == (128, 128, 3)
    assert np.abs(small - shrunk).mean() < 12
    assert SyntheticSource(size=33, count=1).read("test-00000").shape == (33, 33, 3)


def test_digest_follows_every_argument(source: SyntheticSource) -> None:
    others = [
        SyntheticSource("val", 2, 64, 0),
        SyntheticSource("test", 3, 64, 0),
        SyntheticSource("test", 2, 65, 0),
        SyntheticSource("test", 2, 64, 1),
    ]
    digests = {one.digest() for one in (SyntheticSource("test", 2, 64, 0), *others)}
    assert len(digests) == 5
    assert SyntheticSource("test", 2, 64, 0).digest() in digests


@pytest.mark.parametrize(
    "arguments", [{"split": "all"}, {"count": -1}, {"count": 100_001}, {"size": 8}, {"seed": -1}], ids=str
)
def test_wrong_arguments_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"synthetic has no split|wanted are"):
        SyntheticSource(**arguments)  # type: ignore[arg-type]  # settings as a mapping


@pytest.mark.parametrize("key", ["val-00000", "test-00012", "test-x", "nothing"])
def test_unknown_scenes_are_refused(source: SyntheticSource, key: str) -> None:
    with pytest.raises(KeyError, match="there is no scene"):
        source.read(key)


@pytest.mark.parametrize("corner", [False, True])
def test_run_lengths_are_those_of_coco(corner: bool) -> None:
    mask = np.array([[corner, True, False], [False, True, True]])
    counts = mask_to_counts(mask)
    assert counts == ([0, 1, 1, 2, 1, 1] if corner else [2, 2, 1, 1])
    region = Segmentation.pack({"size": [2, 3], "counts": counts})
    annotation = Annotation(1, 1001, (0, 0, 3, 2), 3, segmentation=region)
    np.testing.assert_array_equal(decode(annotation), mask)


@pytest.mark.parametrize("hue", range(0, 360, 30))
def test_tint_has_its_hue_and_chroma_at_lightness_60(hue: int) -> None:
    light = np.full((1, 1), 60.0)
    tint = hue_to_tint(hue, 30.0)[:, None, None]
    _, a, b = rgb2lab(develop(light, tint))[0, 0]
    expected = 30 * np.cos(np.radians(hue)), 30 * np.sin(np.radians(hue))
    np.testing.assert_allclose((a, b), expected, atol=1)


def test_light_is_kept_where_the_color_is_out_of_gamut() -> None:
    light = np.array([[20.0, 50.0, 90.0]])
    picture = develop(light, np.broadcast_to(hue_to_tint(270, 110.0)[:, None, None], (3, 1, 3)))
    np.testing.assert_allclose(rgb2lab(picture)[..., 0], light, atol=0.6)


def test_source_survives_pickling(source: SyntheticSource) -> None:
    copy = pickle.loads(pickle.dumps(source))
    assert [dataclasses.asdict(photo) for photo in copy.photos] == [
        dataclasses.asdict(photo) for photo in source.photos
    ]


def test_datamodule_serves_scenes() -> None:
    module = SyntheticDataModule(
        size=64, train=4, val=2, test=3, data_seed=5, train_size=32, crop_size=16, batch_size=2, boxes_only=True
    )
    batch = next(iter(module.train_dataloader()))
    assert batch.gray.light.shape == (2, 1, 32, 32)
    assert len(batch.gray.crops) == sum(len(boxes) for boxes in batch.gray.boxes)
    assert [key for test in module.test_dataloader() for key in test.gray.key] == [f"test-{i:05d}" for i in range(3)]
    assert module.source("val") is module.source("val")
    assert module.has_training_split
    assert SyntheticDataModule(val=0).source("val") is None
    source = module.source("test")
    assert source is not None
    assert source.seed == 5
