"""A mask means what it shows: however one picture is stored, its classes are the same, or it is refused."""

from __future__ import annotations

import json
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from rarescene.foundation.errors import DataError
from rarescene.scenes import CHOLECSEG8K, open_scenes, propose_class_table, read_image, scan_scenes
from rarescene.scenes.datasets.folder import read_classes
from rarescene.scenes.datasets.infer_classes import _from_colours
from rarescene.scenes.mask_code import count_colours
from rarescene.scenes.rasters import read_raster

COLOURS = {
    "background": [127, 127, 127],
    "organ": [255, 114, 114],
    "duct": [255, 255, 0],
    "tool": [170, 255, 0],
}
IDS = np.array([[0, 1, 2, 3], [0, 0, 1, 1], [3, 3, 0, 2]], np.uint8).repeat(4, 0).repeat(4, 1)
BINARY = (IDS > 1).astype(np.uint8)
Store = Callable[[np.ndarray, Path], None]


def table(classes: int = 4, **more: Any) -> dict[str, Any]:
    entries = [
        {"id": place, "name": name, "colour": colour}
        for place, (name, colour) in enumerate(list(COLOURS.items())[:classes])
    ]
    return {"name": "made-up", "classes": entries, **more}


def valued(*values: list[Any], **more: Any) -> dict[str, Any]:
    content = table(len(values), **more)
    for entry, listed in zip(content["classes"], values, strict=True):
        entry["values"] = listed
    return content


def decoded(
    picture: np.ndarray, store: Store, content: dict[str, Any], folder: Path, ending: str = "png"
) -> Any:
    """Return the ids of one mask, stored in some way, or the error that it is refused with."""
    path = folder / f"mask.{ending}"
    store(picture, path)
    (folder / "classes.json").write_text(json.dumps(content))
    try:
        return read_classes(folder / "classes.json").decode(read_raster(path), path)
    except DataError as error:
        return error


def gray(picture: np.ndarray, path: Path) -> None:
    Image.fromarray(picture).save(path)


def one_bit(picture: np.ndarray, path: Path) -> None:
    Image.fromarray(picture > 0).save(path)


def four_bits(picture: np.ndarray, path: Path) -> None:
    """Write a gray PNG of 4 bits, which Pillow cannot write."""
    rows = b"".join(b"\0" + bytes((row[::2] << 4 | row[1::2]).tolist()) for row in picture)
    header = struct.pack(">IIBBBBB", picture.shape[1], picture.shape[0], 4, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(content)


def sixteen_bits(picture: np.ndarray, path: Path) -> None:
    Image.fromarray(picture.astype(np.uint16)).save(path)


def palette(*colours: list[int]) -> Store:
    def store(picture: np.ndarray, path: Path) -> None:
        image = Image.fromarray(picture)
        image.putpalette([channel for colour in colours for channel in colour])
        image.save(path)

    return store


def colours_in_a_palette(picture: np.ndarray, path: Path) -> None:
    """As an optimiser stores colours: the indices are in an order of its own."""
    shown = np.array(list(COLOURS.values()), np.uint8)
    palette(*shown[::-1].tolist())(3 - picture, path)


def colours(picture: np.ndarray, path: Path) -> None:
    Image.fromarray(np.array(list(COLOURS.values()), np.uint8)[picture]).save(path)


def white_and_red(picture: np.ndarray, path: Path) -> None:
    Image.fromarray(np.array([(255, 255, 255), COLOURS["organ"]], np.uint8)[picture]).save(path)


def grays(picture: np.ndarray, path: Path) -> None:
    Image.fromarray(picture[..., None].repeat(3, -1)).save(path)


def transparent(alpha: Callable[[np.ndarray], np.ndarray], store: Store = colours) -> Store:
    def write(picture: np.ndarray, path: Path) -> None:
        store(picture, path)
        with Image.open(path) as image:
            stored = image.convert("RGBA")
        stored.putalpha(Image.fromarray(alpha(picture).astype(np.uint8)))
        stored.save(path)

    return write


@pytest.mark.parametrize("store", [gray, four_bits, colours, grays, palette(*COLOURS.values())])
def test_ids_and_colours_in_every_storage_mean_the_same(store: Store, tmp_path: Path) -> None:
    np.testing.assert_array_equal(decoded(IDS, store, table(), tmp_path), IDS)


@pytest.mark.parametrize(
    ("picture", "store", "content", "words"),
    [
        (IDS, sixteen_bits, table(), "16 bits"),
        (IDS, colours_in_a_palette, table(), "'background' by its palette index 0 and 'tool' by its colour"),
        (IDS, palette([0, 0, 0], [2, 2, 2], [1, 1, 1], [3, 3, 3]), table(), "'organ' by its palette index 1"),
        (BINARY * 255, gray, table(), "two ways: white (255) is a class, or it is unlabelled"),
        (BINARY * 255, gray, table(2), "two ways"),
        (BINARY * 255, grays, table(2), "two ways"),
        (np.full_like(IDS, 255), gray, table(2), "two ways"),
        (BINARY, one_bit, table(), "'organ' by its value 1 and unlabelled by its gray 255"),
        (BINARY, one_bit, valued([0], [1], [255]), "'organ' by its value 1 and 'duct' by its gray 255"),
        (IDS, transparent(lambda ids: 255 * (ids != 1)), table(), "nothing, which they show"),
        (IDS, transparent(lambda ids: 80 * ids), table(), "is not known: 4 of them"),
        (0 * IDS, transparent(lambda _: 255 * BINARY, gray), table(), "by transparency alone"),
        (BINARY * 128 + 127, gray, table(2), "white (255) is a class, or it is unlabelled"),
        (BINARY, white_and_red, table(), "white (255) is a class, or it is unlabelled"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(
    picture: np.ndarray, store: Store, content: dict[str, Any], words: str, tmp_path: Path
) -> None:
    told = decoded(picture, store, content, tmp_path)
    assert isinstance(told, DataError)
    assert words in told.what


@pytest.mark.parametrize(
    ("picture", "store", "content", "expected"),
    [
        (BINARY, one_bit, table(2), BINARY),
        (BINARY, one_bit, valued([0], [255]), BINARY),
        (BINARY * 255, gray, valued([0], [255]), BINARY),
        (BINARY * 255, grays, valued([0], [255]), BINARY),
        (BINARY, palette([0, 0, 0], [255, 255, 255]), valued([0], [255]), None),
        (BINARY * 255, gray, table(2, ignore_values=[255]), BINARY * 255),
        (BINARY, one_bit, valued([0], [3], ignore_values=[255]), BINARY * 255),
        (np.where(IDS == 2, 255, IDS).astype(np.uint8), gray, table(), np.where(IDS == 2, 255, IDS)),
        (BINARY * 254 + 1, gray, table(2), BINARY * 254 + 1),
        (BINARY, white_and_red, table(2, ignore_values=[255]), 255 - BINARY * 254),
        (IDS * 60, gray, valued(["0-30"], ["31-90"], ["91-150"], ["151-255"]), IDS),
        (IDS, transparent(lambda ids: np.full_like(ids, 9)), table(), IDS),
    ],
)
def test_what_is_said_is_believed(
    picture: np.ndarray, store: Store, content: dict[str, Any], expected: np.ndarray | None, tmp_path: Path
) -> None:
    found = decoded(picture, store, content, tmp_path)
    np.testing.assert_array_equal(found, BINARY if expected is None else expected)


def test_black_and_white_that_are_colours_of_the_table_are_read_by_them(tmp_path: Path) -> None:
    content = table(2)
    content["classes"][0]["colour"], content["classes"][1]["colour"] = [0, 0, 0], [255, 255, 255]
    for store in (gray, grays):
        np.testing.assert_array_equal(decoded(BINARY * 255, store, content, tmp_path), BINARY)


def test_white_beside_several_classes_is_unlabelled_and_that_is_said(tmp_path: Path) -> None:
    laid_out(tmp_path, "images", "masks")
    shown = np.array([(255, 255, 255), *list(COLOURS.values())[1:]], np.uint8)
    for path in (tmp_path / "masks").iterdir():
        Image.fromarray(shown[IDS]).save(path)
    (note,) = (note for note in scan_scenes(f"folder:{tmp_path}").notes if "white" in note)
    assert note.startswith(f"{(IDS == 0).mean():.1%} of the pixels are 255 or white")
    (tmp_path / "classes.json").write_text(json.dumps(table(ignore_values=[255])))
    assert not any("white" in note for note in scan_scenes(f"folder:{tmp_path}").notes)


@pytest.mark.parametrize("described", [True, False])
def test_palettes_in_an_order_of_their_own_are_refused(described: bool, tmp_path: Path) -> None:
    laid_out(tmp_path, "images", "masks")
    shown = [[10, 0, 0], [0, 20, 0], [0, 0, 30], [9, 9, 90]]
    for path in sorted((tmp_path / "masks").iterdir()):
        palette(*shown)(IDS, path)
    assert scan_scenes(f"folder:{tmp_path}").faults == ()
    palette(*shown[::-1])(3 - IDS, path)
    if described:
        (fault,) = scan_scenes(f"folder:{tmp_path}").faults
        what = fault.what
    else:
        with pytest.raises(DataError) as refused:
            propose_class_table(tmp_path)
        what = refused.value.what
    assert ": (9, 9, 90) by 0, case1_00" in what


def test_colours_that_classes_share_are_named_where_they_are_needed(tmp_path: Path) -> None:
    content = table()
    content["classes"][3]["colour"] = COLOURS["organ"]
    assert "some share one" in decoded(IDS, colours, content, tmp_path).remedy
    np.testing.assert_array_equal(decoded(IDS, gray, content, tmp_path), IDS)


def test_signed_numbers_and_lossy_files_are_refused(tmp_path: Path) -> None:
    def signed(picture: np.ndarray, path: Path) -> None:
        Image.fromarray(picture).save(path, tiffinfo={339: 2})

    def lossy(picture: np.ndarray, path: Path) -> None:
        Image.fromarray(picture[..., None].repeat(3, -1)).save(path, quality=80)

    def blurred(picture: np.ndarray, path: Path) -> None:
        Image.fromarray(picture).save(path, compression="jpeg")

    assert "signed" in str(decoded(IDS, signed, table(), tmp_path, "tif"))
    assert "lossy WebP" in str(decoded(IDS, lossy, table(), tmp_path, "webp"))
    assert "JPEG" in str(decoded(IDS, blurred, table(), tmp_path, "tiff"))

    def lossless(picture: np.ndarray, path: Path) -> None:
        Image.fromarray(picture[..., None].repeat(3, -1)).save(path, lossless=True)

    np.testing.assert_array_equal(decoded(IDS, lossless, table(), tmp_path, "webp"), IDS)


@pytest.mark.parametrize("ending", ["tif", "webp", "png"])
def test_several_pages_are_refused_with_their_number(ending: str, tmp_path: Path) -> None:
    pages = [Image.fromarray(((c == IDS) * 255).astype(np.uint8)) for c in range(4)]
    pages[0].save(tmp_path / f"mask.{ending}", save_all=True, append_images=pages[1:])
    for read in (read_image, read_raster):
        with pytest.raises(DataError, match="holds 4 pages or frames"):
            read(tmp_path / f"mask.{ending}")


@pytest.mark.parametrize(("turn", "tag"), [("ROTATE_180", 3), ("ROTATE_90", 6), ("FLIP_LEFT_RIGHT", 2)])
def test_images_and_masks_are_turned_as_viewers_turn_them(turn: str, tag: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    turned = Image.fromarray(IDS).transpose(Image.Transpose[turn])
    turned.save(tmp_path / "mask.png", exif=exif)
    turned.convert("RGB").save(tmp_path / "image.png", exif=exif)
    np.testing.assert_array_equal(read_raster(tmp_path / "mask.png").values, IDS)
    np.testing.assert_array_equal(read_image(tmp_path / "image.png")[..., 1], IDS)


def test_sizes_that_differ_by_the_turn_name_it_and_turned_images_are_noted(tmp_path: Path) -> None:
    exif, half_turn = Image.Exif(), Image.Exif()
    exif[0x0112], half_turn[0x0112] = 6, 3
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    Image.new("RGB", (12, 16)).save(tmp_path / "images/1.jpg", exif=exif)
    gray(IDS, tmp_path / "masks/1.png")
    (tmp_path / "classes.json").write_text(json.dumps(table()))
    found = scan_scenes(f"folder:{tmp_path}")
    assert found.faults == ()
    assert any("1 images are stored turned" in note for note in found.notes)
    Image.fromarray(IDS).save(tmp_path / "masks/1.png", exif=half_turn)
    assert any("1 masks are stored turned" in note for note in scan_scenes(f"folder:{tmp_path}").notes)
    gray(IDS.T.copy(), tmp_path / "masks/1.png")  # drawn on what is stored
    (fault,) = scan_scenes(f"folder:{tmp_path}").faults
    assert fault.what == (
        "is of another size than its image: 12x16 pixels, the image 16x12, turned upright as its EXIF "
        "orientation says"
    )


def test_a_stray_colour_in_a_mask_of_ids_is_named_alone(tmp_path: Path) -> None:
    def store(picture: np.ndarray, path: Path) -> None:
        stored = picture[..., None].repeat(3, -1)
        stored[0, :3] = 1, 2, 1
        Image.fromarray(stored).save(path)

    told = decoded(IDS, store, table(), tmp_path)
    assert told.what == "holds ids in gray, but for pixels of other colours: (1, 2, 1) (3 pixels)"
    told = decoded(
        IDS,
        transparent(lambda ids: 255 * (np.arange(len(ids)) > 0)[:, None] + 0 * ids, store),
        table(),
        tmp_path,
    )
    assert told.what == "holds ids in gray, but for pixels of other colours: (1, 2, 1) (3 pixels)"


# A class table that is proposed.


def proposed(picture: np.ndarray, folder: Path, name: str = "a") -> dict[str, Any]:
    gray(picture, folder / f"{name}.png")
    return propose_class_table(folder)


@pytest.mark.parametrize(
    ("values", "classes", "unlabelled"),
    [
        ([0, 255], [[0], [255]], None),
        ([0, 128, 255], [[0], [128], [255]], None),
        ([0, 1, 2, 255], [None, None, None], [255]),
        ([7, 255], [[7], [255]], None),
        ([255], [[255]], None),
    ],
)
def test_nothing_that_masks_hold_is_left_out(
    values: list[int], classes: list[Any], unlabelled: list[int] | None, tmp_path: Path
) -> None:
    found = proposed(np.array([values], np.uint8).repeat(4, 0), tmp_path)
    assert [entry.get("values") for entry in found["classes"]] == classes
    assert found.get("ignore_values") == unlabelled


@pytest.mark.parametrize("strength", [1, 3])
def test_a_smoothed_binary_mask_has_two_classes_and_a_note(strength: int, tmp_path: Path) -> None:
    y, x = np.mgrid[:96, :128]
    sharp = ((y - 48) ** 2 + (x - 60) ** 2 < 900).astype(np.uint8)
    reach = np.hypot(y - 48, x - 60) - 30
    soft = np.clip(127.5 - 127.5 * reach / strength, 0, 255).round().astype(np.uint8)
    content = proposed(soft, tmp_path)
    assert [entry["values"] for entry in content["classes"]] == [["0-127"], ["128-255"]]
    assert "soft edges" in content["note"]
    (tmp_path / "t").mkdir()
    found = decoded(soft, gray, content, tmp_path / "t")
    assert (found != sharp).mean() < 0.01
    told = decoded(soft, gray, table(2), tmp_path / "t")
    assert "has soft edges: 0, 255, and" in told.what
    assert '"values": ["128-255"]' in told.remedy


def test_gray_classes_with_an_inside_are_no_soft_edge(tmp_path: Path) -> None:
    picture = np.zeros((60, 60), np.uint8)
    for place, value in enumerate((50, 100, 150, 200, 250)):
        picture[2:8, 10 * place : 10 * place + 6] = value
    assert len(proposed(picture, tmp_path)["classes"]) == 6


def test_smoothed_colours_are_no_label_mask(tmp_path: Path) -> None:
    ramp = np.zeros((40, 60, 3), np.uint8)
    ramp[:, 30:] = 200, 40, 0
    ramp[:, 26:30] = np.array([[[40, 8, 0], [80, 16, 0], [120, 24, 0], [160, 32, 0]]])
    ramp[:, 25] = 20, 4, 0
    Image.fromarray(ramp).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="blend"):
        propose_class_table(tmp_path)


PALETTE = {entry.name: list(entry.colour) for entry in CHOLECSEG8K.classes}
TELLING = [name for name in PALETTE if name not in ("black background", "blood", "cystic duct")]


@pytest.mark.parametrize(
    ("shown", "named"),
    [
        (["liver"], 0),
        (
            ["black background", "blood", "cystic duct", "liver", "fat"],
            0,
        ),  # gray, red and yellow are anybody's
        (["liver", "fat", "grasper"], 3),
        (["black background", "blood", "liver", "fat", "grasper", "gallbladder"], 6),
    ],
)
@pytest.mark.parametrize("others", [[], [[255, 255, 255]], [[1, 2, 3], [40, 50, 60]]])
def test_a_palette_is_known_by_several_colours(
    shown: list[str], named: int, others: list[list[int]], tmp_path: Path
) -> None:
    pixels = np.array([[*(PALETTE[name] for name in shown), *others]], np.uint8).repeat(4, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    classes = propose_class_table(tmp_path)["classes"]
    known = {entry["name"]: entry["colour"] for entry in classes if entry["name"] in PALETTE}
    assert known == ({name: PALETTE[name] for name in shown} if named else {})
    border = bool(named) and others == [[255, 255, 255]]  # CholecSeg8k's white border is unlabelled
    assert [entry["name"] for entry in classes if entry["name"] not in PALETTE] == [
        f"class {entry['id']}" for entry in classes if entry["name"] not in PALETTE
    ]
    assert len(classes) == len(shown) + len(others) - border


@given(st.sets(st.sampled_from(TELLING), max_size=2))
def test_two_colours_never_name_an_organ(shown: set[str]) -> None:
    found = Counter({tuple(PALETTE[name]): 5 for name in shown} | {(3, 4, 5): 9, (255, 0, 0): 2})
    names = [entry["name"] for entry in _from_colours(found, "x")["classes"]]
    assert names == [f"class {number}" for number in range(len(found))]


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3)), elements=st.integers(0, 2))
)
def test_colours_are_counted_as_pixel_by_pixel(pixels: np.ndarray) -> None:
    one_by_one = Counter(map(tuple, pixels.reshape(-1, 3).tolist()))
    shown, counts = count_colours(pixels)
    assert dict(zip(map(tuple, shown.tolist()), counts.tolist(), strict=True)) == one_by_one
    assert shown.tolist() == sorted(shown.tolist())


def test_a_proposal_from_large_colour_masks_takes_no_minutes(tmp_path: Path) -> None:
    y, x = np.mgrid[:1080, :1920]
    ids = ((y - 500) ** 2 + (x - 900) ** 2 < 160_000) + 2 * (x > 1500)
    by_size = [[9, 9, 8], [80, 0, 10], [0, 70, 5]]
    Image.fromarray(np.array(by_size, np.uint8)[ids]).save(tmp_path / "a.png")
    began = time.process_time()
    classes = propose_class_table(tmp_path)["classes"]
    assert time.process_time() - began < 2  # 5 s where each pixel is sorted, 0.1 s where each run is
    assert [entry["colour"] for entry in classes] == by_size


def test_a_proposal_rests_on_all_masks_or_says_on_how_many(tmp_path: Path) -> None:
    from rarescene.scenes.datasets.infer_classes import propose_from

    masks = []
    for number in range(450):
        masks.append(tmp_path / f"{number:03d}.png")
        Image.fromarray(np.full((2, 2), 5 if number == 101 else number % 4, np.uint8)).save(masks[-1])
    assert [entry["name"] for entry in propose_from(masks, "x")["classes"]][-1] == "class 5"
    assert "note" not in propose_from(masks, "x")
    assert "rests on 150 of 450 masks" in propose_from(masks, "x", most=200)["note"]


# Layouts.


def laid_out(
    root: Path, images: str, masks: str, names: tuple[str, str] = ("{}", "{}"), ending: str = "png"
) -> Path:
    for frame in ("case1_001", "case1_002", "case2_001"):
        for folder, name, picture in (
            (images, names[0], np.zeros((12, 16, 3), np.uint8)),
            (masks, names[1], IDS),
        ):
            path = root / folder / f"{name.format(frame)}.{ending if folder == masks else 'png'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            gray(picture, path)
    (root / "classes.json").write_text(json.dumps(table()))
    return root


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("img", "annot"), ("Original", "Ground Truth"), ("originalImages", "ground_truth"),
        ("train", "train_gt"), ("Images", "LABELS"), ("JPEGImages", "SegmentationClass"),
        ("img_dir", "ann_dir"),
    ],
)  # fmt: skip
def test_folders_are_found_under_their_usual_names(images: str, masks: str, tmp_path: Path) -> None:
    assert len(open_scenes(f"folder:{laid_out(tmp_path, images, masks)}")) == 3


def test_a_second_folder_of_masks_is_named(tmp_path: Path) -> None:
    laid_out(tmp_path, "images", "masks")
    laid_out(tmp_path, "images", "Labels")
    assert "masks/ is read as the folder of masks, and not Labels/" in scan_scenes(f"folder:{tmp_path}").notes


def test_folders_beside_a_pair_are_named(tmp_path: Path) -> None:
    laid_out(laid_out(tmp_path, "train", "train_gt"), "test", "other")
    notes = scan_scenes(f"folder:{tmp_path}").notes
    assert "train/ and train_gt/ are read, and not other/, test/" in notes


def test_folders_of_each_part_or_case_are_to_be_turned_round(tmp_path: Path) -> None:
    laid_out(laid_out(tmp_path, "case1/images", "case1/masks"), "case2/images", "case2/masks")
    (fault,) = scan_scenes(f"folder:{tmp_path}").faults
    assert fault.remedy == "Turn the folders round: images/case1 instead of case1/images, and so on."


def test_a_mask_belongs_to_one_image(tmp_path: Path) -> None:
    laid_out(tmp_path, "images", "masks")
    gray(np.zeros((12, 16, 3), np.uint8), tmp_path / "images/img_case1_001.png")
    (fault,) = scan_scenes(f"folder:{tmp_path}").faults
    assert fault.what == "shares its mask with another image: case1_001.png"


def test_unknown_folders_are_listed_as_they_are_written_and_the_remedy_works(tmp_path: Path) -> None:
    laid_out(tmp_path, "images", "Meine Masken")
    (fault,) = scan_scenes(f"folder:{tmp_path}").faults
    assert "(found: Meine Masken, images)" in fault.what
    yaml = fault.remedy.split("\n", 1)[1].replace("NAME", "Meine Masken")
    (tmp_path / "data.yaml").write_text(yaml)
    assert len(open_scenes(tmp_path / "data.yaml")) == 3


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{}", "{}_mask"),
        ("img_{}", "mask_{}"),
        ("frame_{}", "mask_{}"),
        ("{}", "{}_labelTrainIds"),
        ("{}", "label-{}"),
        ("{}_image", "{}_gt"),
    ],
)
def test_words_before_and_behind_names_are_passed_over(image: str, mask: str, tmp_path: Path) -> None:
    assert scan_scenes(f"folder:{laid_out(tmp_path, 'images', 'masks', (image, mask))}").faults == ()


@pytest.mark.parametrize("ending", ["gif", "npy", "tga"])
def test_masks_in_a_format_that_is_not_read_are_seen(ending: str, tmp_path: Path) -> None:
    laid_out(tmp_path, "images", "masks")
    for path in (tmp_path / "masks").iterdir():
        path.rename(path.with_suffix(f".{ending}"))
    found = scan_scenes(f"folder:{tmp_path}")
    assert len(found.faults) == 3
    assert f"case1_001.{ending} is there, and .{ending} is not read (read are .bmp" in found.faults[0].what
    assert any(f"not read: 3 .{ending}" in note for note in found.notes)


@pytest.mark.parametrize("layout", ["{frame}_{word}", "{word}_{frame}", "{word}/{frame}", "{frame}/{word}"])
def test_one_file_a_class_is_one_fault_that_says_what_is_missing(layout: str, tmp_path: Path) -> None:
    laid_out(tmp_path, "images", "masks")
    for path in sorted((tmp_path / "masks").iterdir()):
        for word in ("liver", "tool"):
            target = tmp_path / "masks" / f"{layout.format(frame=path.stem, word=word)}.png"
            target.parent.mkdir(exist_ok=True)
            gray(BINARY * 255, target)
        path.unlink()
    faults = [
        fault for fault in scan_scenes(f"folder:{tmp_path}").faults if fault.file != tmp_path / "classes.json"
    ]
    assert [fault.what.split(" (")[0] for fault in faults] == ["holds one file for each class of an image"]
    assert "one mask of class ids" in faults[0].remedy


def test_folders_of_each_case_are_not_taken_for_classes(tmp_path: Path) -> None:
    for case in ("case1", "case2"):
        for folder, picture in (("images", np.zeros((12, 16, 3), np.uint8)), ("labels", IDS)):
            (tmp_path / folder / case / folder).mkdir(parents=True)
            gray(picture, tmp_path / folder / case / folder / "001.png")
    (tmp_path / "classes.json").write_text(json.dumps(table()))
    faults = scan_scenes(f"folder:{tmp_path}").faults
    assert sum("bears its name and lies elsewhere" in fault.what for fault in faults) == 2


def test_a_mask_that_lies_elsewhere_is_named(tmp_path: Path) -> None:
    laid_out(tmp_path, "images", "masks")
    (tmp_path / "masks/deep").mkdir()
    (tmp_path / "masks/case1_001.png").rename(tmp_path / "masks/deep/case1_001.png")
    fault = scan_scenes(f"folder:{tmp_path}").faults[0]
    assert fault.what == "has no mask in its place: deep/case1_001.png bears its name and lies elsewhere"


@pytest.mark.parametrize(
    ("file", "text", "licence"),
    [
        ("LICENSE", "\nCC BY 4.0\nlong text", "CC BY 4.0 (LICENSE)"),
        ("licence.txt", "\ufeffonly for us", "only for us (licence.txt)"),
        ("Licence", "", "see Licence"),
        ("LICENSE-DATA.md", "# CC BY 4.0", "CC BY 4.0 (LICENSE-DATA.md)"),
        ("COPYING", "GPL 3", "GPL 3 (COPYING)"),
        ("notes.txt", "CC BY 4.0", "unknown"),
    ],
)
def test_a_licence_beside_the_data_is_taken_up(file: str, text: str, licence: str, tmp_path: Path) -> None:
    (laid_out(tmp_path, "images", "masks") / file).write_text(text, encoding="utf-8")
    assert open_scenes(f"folder:{tmp_path}").licence == licence
    (tmp_path / "classes.json").write_text(json.dumps(table(license={"name": "CC BY-SA"})))
    assert open_scenes(f"folder:{tmp_path}").licence == "CC BY-SA"
    (tmp_path / "classes.json").write_text(json.dumps(table(licence="CC0")))
    assert open_scenes(f"folder:{tmp_path}").licence == "CC0"
    (tmp_path / "d.yaml").write_text("name: folder\npath: .\nlicence: ours\n")
    assert open_scenes(tmp_path / "d.yaml").licence == "ours"


def test_byte_order_marks_are_no_part_of_a_file(tmp_path: Path) -> None:
    from rarescene.scenes import read_requests, split_scenes

    laid_out(tmp_path, "images", "masks")
    for name, text in {
        "classes.json": json.dumps(table()),
        "split.json": '{"train": ["case1"], "test": ["case2"]}',
        "split.yaml": "train: [case1]\ntest: [case2]",
        "data.yaml": "name: folder\npath: .",
        "requests.txt": "duct: one",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
    scenes = open_scenes(tmp_path / "data.yaml")
    for name in ("split.json", "split.yaml"):
        assert split_scenes(scenes, tmp_path / name).recordings["test"] == ("case2",)
    assert read_requests(tmp_path / "requests.txt", scenes.classes)[0].ids == (2,)


@pytest.mark.parametrize("values", ["0-3", ["a"], [-1], [256], ["9-3"], [True], ["1.5"], None])
def test_values_that_are_none_are_refused(values: Any, tmp_path: Path) -> None:
    content = table()
    content["classes"][0]["values"] = values
    (tmp_path / "classes.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="is not a class table"):
        read_classes(tmp_path / "classes.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.update(ignore_value=[3]), "'ignore_values' may be meant"),
        (lambda content: content["classes"][1].update(value=[3]), "'values' may be meant"),
        (lambda content: content["classes"][1].update(colour=[0.9, 0.5, 0.2]), "colour is 0.9"),
    ],
)
def test_what_a_table_seems_to_mean_is_never_passed_over(
    change: Callable[[dict[str, Any]], None], words: str, tmp_path: Path
) -> None:
    content = table(notes="a field of their own", licences=["x"])
    (tmp_path / "classes.json").write_text(json.dumps(content))
    assert len(read_classes(tmp_path / "classes.json").classes) == 4
    change(content)
    (tmp_path / "classes.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=words):
        read_classes(tmp_path / "classes.json")
