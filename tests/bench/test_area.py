"""Sums over boxes against plain sums, in numbers as large as scores need."""

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.scoring.area import LIMB_BITS, AreaTable, count_units, join, split
from bench.scoring.colour import ciede2000_map, lab_of
from bench.scoring.comparison import DIFFERENCE_BITS, SSIM_BITS
from datamodules.images import MAX_PIXELS

edges = st.tuples(st.integers(0, 19), st.integers(0, 13), st.integers(1, 20), st.integers(1, 14))


def drawn(high: int, *shape: int) -> torch.Tensor:
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(3))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 2), edges), min_size=1, max_size=6))
def test_sums_of_boxes_are_those_of_their_pixels(drawn_boxes: list[tuple[int, tuple[int, int, int, int]]]) -> None:
    maps = drawn(1000, 3, 2, 14, 20) - 500
    places = [
        (index, left, top, min(left + width, 20), min(top + height, 14))
        for index, (left, top, width, height) in drawn_boxes
    ]
    expected = [
        maps[index, :, top:bottom, left:right].sum((1, 2)).tolist() for index, left, top, right, bottom in places
    ]
    assert AreaTable(maps).sums(places) == expected


def test_one_map_needs_no_dimension_and_no_box_no_sum() -> None:
    maps = drawn(9, 2, 5, 6).to(torch.int32)
    assert AreaTable(maps).sums([(1, 0, 0, 6, 5)]) == [[int(maps[1].sum())]]
    assert AreaTable(maps).sums([]) == []


def test_a_box_is_exact_where_the_whole_table_has_wrapped_around() -> None:
    maps = torch.full((1, 8, 8), 2**60)
    maps[0, 6:, 6:] = 7
    assert AreaTable(maps).sums([(0, 6, 6, 8, 8)]) == [[28]]


def test_large_counts_are_summed_in_two_parts() -> None:
    units = drawn(2**60 - 1, 2, 9, 9)
    (high, low), *_ = AreaTable(split(units)).sums([(1, 0, 0, 9, 9)])
    assert join(high, low) == sum(units[1].flatten().tolist()) > 2**63


def test_units_are_rounded_half_to_even() -> None:
    assert count_units(torch.tensor([0.5, 1.5, -0.25, 0.3], dtype=torch.float64), 0).tolist() == [0, 2, 0, 0]
    assert count_units(torch.tensor([0.625], dtype=torch.float64), 36).tolist() == [5 * 2**33]


def test_sums_over_the_largest_picture_stay_within_64_bits() -> None:
    similarity, difference = 3 << SSIM_BITS, 120 << DIFFERENCE_BITS  # CIEDE2000 of two 8-bit colours is below 120
    high, distance = 2 ** (60 - LIMB_BITS), 1 << 57
    assert max(similarity, difference, high, distance >> LIMB_BITS) * MAX_PIXELS < 2**63


def test_the_largest_colour_difference_is_what_the_bound_says() -> None:
    corners = torch.tensor(list(itertools.product((0, 255), repeat=3)), dtype=torch.uint8)
    first = corners.repeat_interleave(8, 0).T.reshape(1, 3, 8, 8)
    second = corners.repeat(8, 1).T.reshape(1, 3, 8, 8)
    assert 100 <= ciede2000_map(lab_of(first), lab_of(second)).max().item() < 120
