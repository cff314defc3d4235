from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rarescene.foundation.errors import ConfigError
from rarescene.scenes import CHOLECSEG8K, ClassRequest, ClassTable, Request, SceneClass, read_requests
from rarescene.scenes.class_table import quoted
from rarescene.scenes.request import PLACES, plural

CLASS_REQUESTS = st.builds(
    ClassRequest,
    class_id=st.integers(0, 12),
    count=st.none() | st.integers(1, 40),
    place=st.none() | st.sampled_from(PLACES),
    share=st.none() | st.integers(0, 10**6).map(lambda millionths: millionths / 10**6),
)
REQUESTS = st.lists(CLASS_REQUESTS, max_size=6, unique_by=lambda entry: entry.class_id).map(
    lambda entries: Request(tuple(entries))
)
SIDES = st.integers(1, 40)
MASKS = hnp.arrays(np.uint8, st.tuples(SIDES, SIDES), elements=st.sampled_from([0, 1, 5, 8, 12, 255]))


@given(MASKS, st.sampled_from([0.0, 0.0005, 0.05]))
def test_a_mask_keeps_its_own_request(mask: np.ndarray, speck: float) -> None:
    request = Request.from_mask(mask, CHOLECSEG8K, speck)
    assert set(request.ids) == set(np.unique(mask).tolist()) - {255}
    assert request.kept_by(mask, CHOLECSEG8K, speck).kept
    np.testing.assert_allclose(
        [entry.share for entry in request.classes], [(mask == c).mean() for c in request.ids], atol=1e-6
    )


@given(REQUESTS)
def test_round_trips(request_: Request) -> None:
    assert Request.parse(request_.to_text(CHOLECSEG8K), CHOLECSEG8K) == request_
    assert Request.from_dict(json.loads(json.dumps(request_.to_dict()))) == request_
    spoken = Request.parse("\n".join(request_.to_words(CHOLECSEG8K)), CHOLECSEG8K)
    assert [(e.class_id, e.count, e.place) for e in spoken.classes] == [
        (e.class_id, e.count, e.place) for e in request_.classes
    ]


def test_words() -> None:
    request = Request.parse("cystic duct: one, centre; grasper: two, upper right", CHOLECSEG8K)
    assert request.to_words(CHOLECSEG8K) == [
        "two graspers in the upper right",
        "one cystic duct in the centre",
    ]
    assert Request.parse("L-Hook Electrocautery", CHOLECSEG8K).classes == (ClassRequest(9),)
    assert plural("L-hook electrocautery") == "L-hook electrocauteries"
    assert Request.parse("liver: 2 , lower center,  1.5%", CHOLECSEG8K).classes == (
        ClassRequest(2, 2, "lower centre", 0.015),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gall bladder: one", "gallbladder"),
        ("two cystic ducts in the middle", "no class"),
        ("liver: many", "'many'"),
        ("liver: one; liver: two", "twice"),
        ("liver: 0", "0 pieces"),
        ("liver: 130 %", "share from 0 to 1"),
    ],
)
def test_what_is_not_understood_is_named(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Request.parse(text, CHOLECSEG8K)


NAMES = st.text(st.sampled_from('abs ,:;#-_/.123onetwicr"'), min_size=1, max_size=12).map(str.strip)


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_every_name_that_a_table_accepts_is_read_back(names: list[str]) -> None:
    try:
        table = ClassTable("t", tuple(SceneClass(place, name, (0, 0, 0)) for place, name in enumerate(names)))
    except ConfigError:
        return
    for class_id, name in enumerate(names):
        assert table.id_of(name) == class_id
        assert table.ids_in(quoted(name)) == (class_id,)
        for asked in (
            ClassRequest(class_id),
            ClassRequest(class_id, 1),
            ClassRequest(class_id, 14, "lower left"),
        ):
            request = Request((asked,))
            assert Request.parse("; ".join(request.to_words(table)), table) == request
            assert Request.parse(request.to_text(table), table) == request
    assert table.ids_in(table.listed(names)) == tuple(range(len(names)))
    everything = Request(tuple(ClassRequest(class_id, 2, "centre") for class_id in range(len(names))))
    assert Request.parse("; ".join(everything.to_words(table)), table) == everything


PUNCTUATED = ("background", "organ: left", "duct, cystic", "tool", "duct", "5 mm #2; port")


def _punctuated() -> ClassTable:
    return ClassTable("t", tuple(SceneClass(place, name, (0, 0, 0)) for place, name in enumerate(PUNCTUATED)))


def test_names_with_punctuation_are_asked_for_as_they_are_quoted_or_by_id(tmp_path: Path) -> None:
    table = _punctuated()
    for text, ids in {
        "duct, cystic": (2,), "tool,duct,cystic": (3, 2), '"duct", tool': (4, 3), "duct, tool": (4, 3),
        "organ: left, 2": (1, 2), '"5 mm #2; port"': (5,), "Organ:  Left": (1,), "": (),
    }.items():  # fmt: skip
        assert table.ids_in(text) == ids
    for text, asked in {
        "organ: left": ClassRequest(1), '"organ: left": two, centre': ClassRequest(1, 2, "centre"),
        'three "organ: left" in the lower left': ClassRequest(1, 3, "lower left"), "2": ClassRequest(2),
        "2: one": ClassRequest(2, 1), "two duct, cystics": ClassRequest(2, 2),
    }.items():  # fmt: skip
        assert Request.parse(text, table) == Request((asked,))
    (tmp_path / "r.txt").write_text('"5 mm #2; port": one  # the "second" one\ntool # a # b\n')
    assert [request.ids for request in read_requests(tmp_path / "r.txt", table)] == [(5,), (3,)]
    with pytest.raises(ConfigError, match="quotation mark"):
        Request.parse('"organ: left', table)
    with pytest.raises(ConfigError, match='"organ: left", "duct, cystic"'):
        table.ids_in("vein")


@pytest.mark.parametrize(
    "names",
    [
        ["organ_a", "organ a"], ["organ a", "organ-a"], ["Duct", "duct"], ["a,b", "a, b"],
        ["M\u00fc", "Mu\u0308"],
        ["", "a"], [" _", "a"], ['"', "a"], ["two\nlines", "a"],
    ],
)  # fmt: skip
def test_names_that_cannot_be_told_apart_or_asked_for_are_refused(names: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"share a name|is no name of a class"):
        ClassTable("t", tuple(SceneClass(place, name, (0, 0, 0)) for place, name in enumerate(names)))


def test_pieces_places_and_specks_by_hand() -> None:
    mask = np.full((100, 100), 255, np.uint8)
    mask[2:12, 70:80] = mask[2:12, 85:95] = 5  # two graspers at the upper right
    mask[50, 2] = 5  # a speck
    mask[50:52, 50:52] = 8
    mask[52:54, 52:54] = 8  # touches at a corner: one piece
    mask[99, 0] = 11  # a single pixel is all there is of the vein
    assert Request.from_mask(mask, CHOLECSEG8K).classes == (
        ClassRequest(5, 2, "upper right", 0.0201),
        ClassRequest(8, 1, "centre", 0.0008),
        ClassRequest(11, 1, "lower left", 0.0001),
    )
    flipped = Request.from_mask(mask[:, ::-1], CHOLECSEG8K)
    assert [entry.place for entry in flipped.classes] == ["upper left", "centre", "lower right"]


def test_a_broken_request_is_reported_class_by_class() -> None:
    mask = np.zeros((30, 30), np.uint8)
    mask[:5, :5] = 5
    asked = Request.parse("grasper: two, upper left; blood: one, centre; black background", CHOLECSEG8K)
    report = asked.kept_by(mask, CHOLECSEG8K)
    assert [(e.class_id, e.present, e.quantity, e.place) for e in report.classes] == [
        (0, True, None, None),
        (5, True, False, True),
        (7, False, False, False),
    ]
    assert (report.present, report.quantity, report.place) == pytest.approx((2 / 3, 0, 1 / 2))
    assert not report.kept
    assert json.loads(json.dumps(report.to_dict()))["kept"] is False


def test_multi_hot() -> None:
    assert Request((ClassRequest(8), ClassRequest(2))).multi_hot(13).tolist() == [
        0,
        0,
        1,
        0,
        0,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
    ]
