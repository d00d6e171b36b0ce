"""Word maps as numbers and as figures: principal components, places of labels, neighbours."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_w2v.draw.figures import place_labels
from tinygrad_w2v.draw.words import pca, word_map, words_around
from tinygrad_w2v.word2vec import WordVectors

tables = hnp.arrays(float, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7),
                    elements=st.floats(-100, 100))


def vectors(n=120, d=10, seed=0):
    rng = np.random.default_rng(seed)
    scale = np.linspace(3, 1, d)
    return WordVectors([f"word{i}" for i in range(n)], rng.normal(size=(n, d)) * scale)


@given(tables)
def test_components_are_those_of_the_covariance(x):
    found, k = pca(x, 2), min(2, x.shape[1])
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True).reshape(x.shape[1], -1))
    values = np.maximum(values[::-1][:2], 0)
    variances = np.mean(np.square(found.coordinates), axis=0)
    scale = np.square(x).max() + 1e-300
    np.testing.assert_allclose(variances[:k], values, atol=1e-9 * scale)
    np.testing.assert_allclose(found.coordinates.mean(axis=0), 0, atol=1e-9 * scale**0.5)
    np.testing.assert_allclose((x - found.mean) @ found.directions.T, found.coordinates,
                               atol=1e-9 * scale**0.5)


@given(tables)
def test_shares_are_of_the_whole_variance(x):
    found = pca(x, 8)
    total = x.var(axis=0).sum()
    if total > 1e-6:
        np.testing.assert_allclose(found.shares * total, found.coordinates.var(axis=0),
                                   atol=1e-9 * total)
        assert found.shares.sum() == pytest.approx(1)
    assert np.all(np.diff(found.shares) <= 1e-12)


@given(st.integers(0, 99))
def test_the_sign_of_a_direction_does_not_depend_on_the_order_of_rows(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(20, 4)) * [4, 3, 2, 1]
    order = rng.permutation(20)
    first, again = pca(x), pca(x[order])
    np.testing.assert_allclose(again.coordinates, first.coordinates[order], atol=1e-9)
    largest = np.abs(first.directions).argmax(axis=1)
    assert np.all(first.directions[np.arange(2), largest] > 0)


def test_rows_that_do_not_vary_have_coordinates_and_shares_of_0():
    found = pca(np.full((5, 3), 0.1))
    np.testing.assert_array_equal(found.coordinates, 0)
    np.testing.assert_array_equal(found.shares, 0)
    assert pca(np.ones((1, 1))).coordinates.shape == (1, 2)


@pytest.mark.parametrize(("x", "message"), [
    ([[1.0, np.nan], [1, 2]], "the first of them row 0"), (np.ones((0, 3)), "1 row or more"),
    (np.ones(3), "of an array of shape")])
def test_what_has_no_components_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        pca(np.array(x))


@given(st.integers(0, 999), st.integers(1, 60))
def test_placed_labels_keep_their_distance_and_stay_inside(seed, n):
    rng = np.random.default_rng(seed)
    points, sizes = rng.uniform(0, 200, (n, 2)), rng.uniform(5, 60, (n, 2))
    corners = place_labels(points, sizes, (0, 0, 200, 200), gap=3)
    kept = np.flatnonzero(~np.isnan(corners[:, 0]))
    low, high = corners[kept], corners[kept] + sizes[kept]
    assert np.all(low >= 0)
    assert np.all(high <= 200)
    for i, j in itertools.combinations(range(len(kept)), 2):
        assert np.any((low[i] >= high[j] + 3) | (low[j] >= high[i] + 3))


def test_a_label_hides_no_point_if_there_is_another_place():
    points, sizes = np.array([[50.0, 50.0], [65.0, 50.0]]), np.array([[20.0, 8.0]] * 2)
    corners = place_labels(points, sizes, (0, 0, 100, 100))
    np.testing.assert_array_equal(corners, [[26, 46], [69, 46]])
    corners = place_labels(points, sizes, (47, 45, 100, 55))  # there is none for the first
    np.testing.assert_array_equal(corners[0], [54, 46])


def test_the_first_label_is_placed_first_and_one_without_room_is_dropped():
    points, sizes = np.array([[10.0, 10.0]] * 30), np.full((30, 2), 8.0)
    corners = place_labels(points, sizes, (0, 0, 30, 20))
    np.testing.assert_array_equal(corners[0], [14, 6])
    assert np.isnan(corners[-1]).all()


def test_neighbours_are_of_the_full_space_and_the_whole_vocabulary():
    wv = vectors()
    found = word_map(wv, 20, topn=4)
    for i, word in enumerate(found.words):
        assert found.near[i] == wv.most_similar(word, topn=4)


def test_the_plane_is_that_of_the_words_on_the_map_at_length_1():
    wv = vectors()
    chosen = ["word9", "word3", "word99"]
    found = word_map(wv, chosen)
    unit = wv[chosen] / np.linalg.norm(wv[chosen], axis=1, keepdims=True)
    np.testing.assert_allclose(found.plane.coordinates, pca(unit).coordinates, atol=1e-12)
    assert found.words == chosen


def test_words_around_are_the_words_and_their_nearest_in_turn():
    wv = vectors()
    found = words_around(wv, ["word1", "word2"], 8)
    one, other = ([word for word, _ in wv.most_similar(w, topn=8)] for w in ("word1", "word2"))
    expected = dict.fromkeys(["word1", "word2", *itertools.chain(*zip(one, other, strict=True))])
    assert found == [*expected][:8]
    assert words_around(wv, ["word1", "word2", "word3"], 2) == ["word1", "word2", "word3"]


def test_a_map_refuses_what_it_cannot_show():
    wv = vectors(5)
    with pytest.raises(KeyError, match="'nobody' is not among these 5 words"):
        word_map(wv, ["nobody"])
    with pytest.raises(ValueError, match="1 word or more, not 0"):
        word_map(wv, 0)
    with pytest.raises(ValueError, match="a map needs 1 word or more, not an empty list"):
        word_map(wv, [])
    with pytest.raises(ValueError, match="no word with a finite vector"):
        word_map(WordVectors(["a"], np.array([[np.inf]])))


@pytest.mark.parametrize("dpi", [60, 100, 200])
def test_labels_of_the_figure_do_not_overlap_and_the_title_counts_them(dpi, tmp_path):
    figure = word_map(vectors()).figure(marked=["word7", "word8"])
    figure.savefig(tmp_path / "map.png", dpi=dpi)
    (axes,) = figure.axes
    figure.set_dpi(dpi)
    figure.draw_without_rendering()
    extents = [text.get_window_extent() for text in axes.texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(extents, 2))
    frame = axes.get_window_extent()
    assert all(frame.x0 <= e.x0 and e.x1 <= frame.x1 and frame.y0 <= e.y0 and e.y1 <= frame.y1
               for e in extents)
    assert axes.get_title() == f"{len(axes.texts)} of 120 words labelled"
    assert 20 < len(axes.texts) < 120
    assert [text.get_text() for text in axes.texts[:2]] == ["word7", "word8"]


def test_the_axes_of_the_figure_say_the_shares():
    found = word_map(vectors())
    (axes,) = found.figure().axes
    variances = found.plane.coordinates.var(axis=0)
    unit = found.wv.unit
    expected = 100 * variances / unit.var(axis=0).sum()
    assert axes.get_xlabel() == f"first component, {expected[0]:.1f} % of the variance"
    assert axes.get_ylabel() == f"second component, {expected[1]:.1f} % of the variance"


def test_words_with_dollars_are_no_formulas():
    wv = WordVectors(["$x$", "$\\frac", "a_b"], np.eye(3))
    (axes,) = word_map(wv).figure().axes
    assert sorted(text.get_text() for text in axes.texts) == sorted(wv.words)
    axes.figure.draw_without_rendering()


def test_a_map_of_a_name_is_not_one_of_its_letters():
    wv = vectors()
    assert word_map(wv, "word7").words == ["word7"]
    assert words_around(wv, "word7", 5) == words_around(wv, ["word7"], 5)
    with pytest.raises(ValueError, match="not on this map: 'word99'"):
        word_map(wv, 10).figure(marked="word99")


def test_a_mark_that_is_not_on_the_map_is_refused():
    with pytest.raises(ValueError, match="not on this map: 'word99'"):
        word_map(vectors(), 10).figure(marked=["word99"])


def test_without_matplotlib_the_data_and_the_page_are_there_and_a_figure_names_the_extra():
    code = """
import sys
sys.modules["matplotlib"] = None
import numpy as np
from tinygrad_w2v.draw.words import word_map
from tinygrad_w2v.word2vec import WordVectors
found = word_map(WordVectors(["a", "b"], np.eye(2)))
assert "<svg" in found.page()
try:
    found.figure()
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "tinygrad-w2v[draw]"' in done.stdout
