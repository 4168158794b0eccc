"""Parameters: types, bounds, and the node to which a keyword applies."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib import SpecError, families, spec_from_settings
from featurelib.features.mfcc import MFCC
from featurelib.graph import Node
from featurelib.parameters import bounds, checked, parameter
from featurelib.specs.keywords import SHARED, Place, build, find_places, flattened, keywords, places
from tests.featurelib.support.specs import given_nodes

FAMILIES = tuple(families())


@dataclass(frozen=True, kw_only=True)
class Left(Node):
    size: int = parameter(1, "size", ge=1, le=10, even=False)
    n_fft: int = parameter(2048, "length", ge=16, even=True)


@dataclass(frozen=True, kw_only=True)
class Right(Node):
    size: int = parameter(2, "size", ge=1)
    gain: float = parameter(0.5, "gain", gt=0, lt=1)
    n_fft: int = parameter(512, "length", ge=16, even=True)


@dataclass(frozen=True, kw_only=True)
class Both(Node):
    left: Left = Left()
    right: Right = Right()
    kind: str = parameter("a", "kind", choices=("a", "b"))


@dataclass(frozen=True, kw_only=True)
class Extra(Node):
    size: int = parameter(3, "size", ge=1)


@dataclass(frozen=True, kw_only=True)
class Top(Node):
    both: Both = Both(right=Right(size=5))
    gain: float | None = parameter(None, "gain", gt=0)
    is_loud: bool = parameter(False, "whether")
    other: Extra | None = None


@dataclass(frozen=True, kw_only=True)
class Needy(Node):
    of: Node
    width: int = parameter(doc="has no default", ge=1)


def test_the_nearest_node_wins():
    assert build(Top, {"gain": 3}) == Top(gain=3.0)
    assert build(Both, {"gain": 0.25}) == Both(right=Right(gain=0.25))
    # `other.size` is nearer than the parameters `size` inside `both`.
    assert build(Top, {"size": 7}) == Top(other=Extra(size=7))


def test_what_is_not_said_is_as_in_the_default_of_the_field():
    assert build(Top, {"kind": "b"}) == Top(both=Both(right=Right(size=5), kind="b"))


def test_a_dotted_keyword_is_meant_for_its_place():
    assert build(Top, {"both.right.gain": 0.75, "gain": 2}) == Top(
        gain=2.0, both=Both(right=Right(gain=0.75, size=5))
    )
    assert find_places(places(Top), "right.gain") == []


def test_shared_keywords_are_meant_for_all_that_have_them():
    node = build(Both, {"n_fft": 4096})
    assert (node.left.n_fft, node.right.n_fft) == (4096, 4096)
    # A dotted keyword overrides a plain one, in any order.
    for values in (
        {"n_fft": 4096, "right.n_fft": 64},
        {"right.n_fft": 64, "n_fft": 4096},
    ):
        node = build(Both, values)
        assert (node.left.n_fft, node.right.n_fft) == (4096, 64)


@pytest.mark.parametrize("family", FAMILIES)
def test_frames_and_spectra_share_their_parameters(family):
    available = places(families()[family], frozenset({"of"}))
    for place in available:
        found = find_places(available, place.path[-1])
        if place.path[-1] in SHARED:
            assert found == [one for one in available if one.path[-1] == place.path[-1]]
        else:
            assert len(found) == 1


def test_equally_near_nodes_are_refused_with_their_names():
    with pytest.raises(SpecError, match=r"'size'.*\"left\.size\" or \"right\.size\""):
        build(Both, {"size": 3})
    assert build(Both, {"left.size": 3}) == Both(left=Left(size=3))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("gian", ["'gian'", "did you mean 'gain'", "there are gain, is_loud, kind, n_fft, size"]),
        ("both.size", ["'both.size'", "did you mean"]),
        ("zzz", ["'zzz'", "there are gain"]),
    ],
)
def test_unknown_keywords_are_refused_with_a_hint(key, words):
    with pytest.raises(SpecError) as caught:
        build(Top, {key: 1})
    for word in words:
        assert word in str(caught.value)


def test_given_nodes_are_taken_as_they_are():
    node = build(Needy, {"width": 3}, {"of": Left(size=2)})
    assert node == Needy(of=Left(size=2), width=3)
    with pytest.raises(SpecError, match="unknown parameter 'size'"):
        build(Needy, {"width": 3, "size": 3}, {"of": Left(size=2)})
    with pytest.raises(SpecError, match="'width' has to be given"):
        build(Needy, {}, {"of": Left()})
    with pytest.raises(SpecError, match="'of' has to be given"):
        build(Needy, {"width": 3})
    with pytest.raises(SpecError, match="of=3 is not a node"):
        build(Needy, {"width": 3}, {"of": 3})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"size": 0}, "size=0 must be at least 1"),
        ({"size": 11}, "size=11 must be at most 10"),
        ({"size": 1.0}, r"size=1\.0 is not a whole number"),
        ({"size": True}, "size=True is not a whole number"),
        ({"size": "1"}, "size='1' is not a whole number"),
        ({"n_fft": 17}, "n_fft=17 must be an even number"),
    ],
)
def test_numbers_are_checked(values, words):
    with pytest.raises(SpecError, match=words):
        Left(**values)


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (Right, {"gain": 0}, r"gain=0\.0 must be greater than 0"),
        (Right, {"gain": 1}, r"gain=1\.0 must be less than 1"),
        (Right, {"gain": float("nan")}, "gain=nan"),
        (Right, {"gain": float("inf")}, "gain=inf"),
        (Right, {"gain": None}, "gain=None"),
        (Right, {"gain": "1"}, "gain='1'"),
        (Right, {"gain": False}, "gain=False"),
        (Both, {"kind": "c"}, "kind='c': there are a, b"),
        (Both, {"kind": 1}, "kind=1 is not a text"),
        (Both, {"left": 1}, "left=1 is not a node"),
        (Both, {"left": None}, "left=None is not a node"),
        (Top, {"is_loud": 1}, "is_loud=1 must be true or false"),
    ],
)
def test_other_values_are_checked(kind, values, words):
    with pytest.raises(SpecError, match=words):
        kind(**values)


def test_values_become_of_the_declared_type():
    (gain,) = (field for field in fields(Right) if field.name == "gain")
    assert isinstance(checked(gain, 0.5), float)
    node = Top(gain=2)
    assert isinstance(node.gain, float)
    assert Top(gain=None).gain is None
    assert Top(other=None).other is None


def test_bounds_are_said_for_people():
    by_name = {field.name: bounds(field) for kind in (Left, Right, Both) for field in fields(kind)}
    assert by_name["n_fft"] == "≥ 16, even"
    assert by_name["gain"] == "> 0, < 1"
    assert by_name["kind"] == "a, b"


# --- tables


def test_nested_tables_are_dotted_keywords():
    table = tomllib.loads("a = 1\nb.c = 2\n[d.e]\nf = 3\ng.h = 4\n")
    assert dict(flattened(table)) == {"a": 1, "b.c": 2, "d.e.f": 3, "d.e.g.h": 4}


def test_specs_take_nested_tables():
    text = """
    [defaults]
    mel.mel.n_mels = 64
    [[features]]
    family = "mfcc"
    n_mfcc = 13
    [features.mel]
    top_db = 60.0
    mel.stft.frames.n_fft = 1024
    """
    (entry,) = spec_from_settings(tomllib.loads(text)).features
    values = {"n_mfcc": 13, "top_db": 60.0, "n_mels": 64, "n_fft": 1024}
    assert entry.feature == build(MFCC, values)


# --- round trips


def value_of(place: Place) -> st.SearchStrategy[Any]:
    """Valid values of a parameter."""
    m, kind = place.field.metadata, str(place.field.type)
    if m["choices"]:
        return st.sampled_from(m["choices"])
    if kind == "bool":
        return st.booleans()
    if kind.startswith("int"):
        low, high = m["ge"] or 0, m["le"] or 1000
        return (
            st.integers(low, high).map(lambda n: n - n % 2) if m["even"] else st.integers(low, high)
        )
    low = m["ge"] if m["ge"] is not None else m["gt"]
    high = m["le"] if m["le"] is not None else (m["lt"] or 1000.0)
    numbers = st.floats(low, high, exclude_min=m["ge"] is None, exclude_max=m["le"] is None)
    return st.none() | numbers if kind.endswith("None") else numbers


def changed(draw: st.DrawFn, kind: type[Node], given_nodes: dict[str, Node]) -> Node:
    """A node with any valid values of any of its parameters."""
    available = places(kind, frozenset(given_nodes))
    some = st.sampled_from(available) if available else st.nothing()
    chosen = draw(st.lists(some, unique_by=lambda place: place.path))
    values = {place.path: draw(value_of(place)) for place in chosen}
    # A path of one name is a plain keyword, and no parameter of that name is nearer.
    return build(kind, {".".join(path): value for path, value in values.items()}, given_nodes)


@pytest.mark.parametrize("family", FAMILIES)
@given(st.data())
def test_keywords_make_every_family_again(family, data):
    given = given_nodes(family)
    node = changed(data.draw, families()[family], given)
    values = keywords(node, frozenset(given))
    assert build(type(node), values, given) == node


@pytest.mark.parametrize("kind", [Both, Top])
@given(st.data())
def test_keywords_make_any_node_again(kind, data):
    node = changed(data.draw, kind, {})
    assert build(kind, keywords(node)) == node


def test_keywords_are_plain_where_they_are_meant_for_one():
    assert keywords(Both()) == {
        "kind": "a",
        "left.size": 1,
        "right.size": 2,
        "n_fft": 2048,
        "right.n_fft": 512,
        "gain": 0.5,
    }
    assert keywords(build(Both, {"n_fft": 64}))["n_fft"] == 64
    assert "right.n_fft" not in keywords(build(Both, {"n_fft": 64}))
