from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rarescene.reports import (
    GalleryScene,
    contact_sheet,
    enlarge,
    error_map,
    gallery_rows,
    overlay,
    representative,
)
from rarescene.reports.gallery import ELSEWHERE, FOUND, INVENTED, MISSED, UNLABELLED, contours
from rarescene.scenes.class_table import ClassTable

masks = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12), elements=st.integers(0, 2)
)


def test_errors_are_sorted_pixel_by_pixel() -> None:
    truth = np.array([[1, 1, 0, 0, 255, 1]], np.uint8)
    given_ids = np.array([[1, 0, 1, 0, 1, 2]], np.uint8)
    expected = [FOUND, MISSED, INVENTED, ELSEWHERE, UNLABELLED, MISSED]
    assert error_map(truth, given_ids, [1, 2], 255)[0].tolist() == [list(colour) for colour in expected]


@given(mask=masks)
def test_a_perfect_prediction_has_no_error(mask: np.ndarray) -> None:
    colours = {tuple(colour) for colour in error_map(mask, mask, [1, 2], 255).reshape(-1, 3).tolist()}
    assert colours <= {FOUND, ELSEWHERE}


@given(mask=masks, factor=st.integers(1, 5))
def test_a_map_is_enlarged_without_inventing_a_colour(mask: np.ndarray, factor: int) -> None:
    palette = np.array([[0, 0, 0], [255, 255, 0], [0, 50, 128]], np.uint8)
    large = enlarge(palette[mask], max(mask.shape) * factor, flat=True)
    assert large.shape == (mask.shape[0] * factor, mask.shape[1] * factor, 3)
    np.testing.assert_array_equal(large[::factor, ::factor], palette[mask])


def test_a_picture_is_enlarged_to_the_side_asked_for() -> None:
    picture = np.full((30, 40, 3), 77, np.uint8)
    large = enlarge(picture, 100)
    assert large.shape == (75, 100, 3)
    assert np.all(large == 77)


def test_contours_lie_where_classes_meet() -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[:, 2:] = 1
    assert np.argwhere(contours(mask)).tolist() == [[row, 1] for row in range(4)]
    assert not contours(np.zeros((4, 4), np.uint8)).any()


def test_an_overlay_mixes_and_spares_what_is_unlabelled(table: ClassTable) -> None:
    image = np.full((3, 3, 3), 100, np.uint8)
    mask = np.zeros((3, 3), np.uint8)
    mask[0, 0] = 255
    mixed = overlay(image, mask, table, opacity=0.5)
    np.testing.assert_array_equal(mixed[0, 0], [100, 100, 100])
    np.testing.assert_array_equal(mixed[2, 2], np.rint((100 + np.array([255, 114, 114])) / 2))


def test_scenes_are_chosen_around_the_median_and_each_once() -> None:
    areas = np.array([[0, 5], [10, 0], [30, 9], [20, 0], [0, 7]])
    assert representative(areas, [0], 1) == [3]
    assert representative(areas, [0], 9) == [3, 1, 2]
    assert representative(areas, [1, 0], 4) == [4, 3, 0, 1]
    assert representative(np.zeros((4, 2), int), [0, 1], 3) == []


@pytest.mark.parametrize("errors", [True, False])
def test_a_row_shows_map_real_synthetic_and_predictions(table: ClassTable, errors: bool) -> None:
    mask = np.array([[0, 1], [255, 1]], np.uint8)
    real, drawn = np.full((2, 2, 3), 9, np.uint8), np.full((2, 2, 3), 8, np.uint8)
    scene = GalleryScene(
        "s", "video01", mask, real, {"synthetic": drawn}, {"none": mask, "offline": mask}, (1,)
    )
    (row,) = gallery_rows([scene], table, errors=errors)
    labels = [
        "map",
        "real",
        "synthetic",
        "prediction, none",
        "errors, none",
        "prediction, offline",
        "errors, offline",
    ]
    assert [cell.label for cell in row.cells] == [
        label for label in labels if errors or "errors" not in label
    ]
    np.testing.assert_array_equal(row.cells[0].picture, table.colourise(mask))
    np.testing.assert_array_equal(row.cells[1].picture, real)
    assert all(cell.alt for cell in row.cells)
    assert "liver and cystic duct" in row.cells[0].alt
    assert [cell.flat for cell in row.cells[:4]] == [True, False, False, True]


def test_large_pictures_are_made_smaller(table: ClassTable) -> None:
    scene = GalleryScene("s", "video01", np.zeros((480, 854), np.uint8), np.zeros((480, 854, 3), np.uint8))
    (row,) = gallery_rows([scene], table, side=384)
    assert [cell.picture.shape for cell in row.cells] == [(216, 384, 3)] * 2


def test_a_contact_sheet_puts_every_picture_in_its_place() -> None:
    colours = [[(255, 0, 0), (0, 255, 0)], [(0, 0, 255)]]
    rows = [[np.full((8, 8, 3), colour, np.uint8) for colour in row] for row in colours]
    sheet = np.asarray(
        contact_sheet(
            rows, ["map", "a label that is far too long for its column"], side=64, titles=["one", "two"]
        )
    )
    for row, line in enumerate(colours):
        for column, colour in enumerate(line):
            top, left = 30 + row * (64 + 24 + 8) + 24, 8 + column * (64 + 8)
            assert np.all(sheet[top : top + 64, left : left + 64] == colour)
    assert np.all(sheet[:30, -8:] == 255)


def test_a_contact_sheet_refuses_what_has_no_label() -> None:
    picture = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(ValueError, match="more pictures"):
        contact_sheet([[picture, picture]], ["one"])
    with pytest.raises(ValueError, match="one title a row"):
        contact_sheet([[picture]], ["one"], titles=["a", "b"])
