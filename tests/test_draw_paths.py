"""Paths over contours, and neighbours in training: what is drawn is what happened."""

import numpy as np
import pytest

from tinygrad_w2v.draw import NeighbourRecorder, descend, paths_figure
from tinygrad_w2v.draw.paths import frame, surface
from tinygrad_w2v.optim import SGD, Adam
from tinygrad_w2v.word2vec import SkipGram

TEXT = [["the", "red", "rose"], ["the", "blue", "rose"], ["a", "loud", "drum"]] * 20


def bowl(x, y):
    return x * x + 10 * y * y


# ── paths ──


def test_a_path_has_every_step_of_the_optimiser():
    path = descend(bowl, (3, 1), lambda params: SGD(params, lr=0.04), 25)
    steps = np.arange(26)[:, None]
    np.testing.assert_allclose(path.points, [3, 1] * (1 - 0.04 * np.array([2, 20])) ** steps)
    np.testing.assert_allclose(path.losses, bowl(*path.points.T))


def test_a_path_of_no_steps_is_its_start():
    path = descend(bowl, (3, 1), steps=0)
    np.testing.assert_array_equal(path.points, [[3, 1]])


def test_what_has_no_path_is_refused():
    with pytest.raises(ValueError, match="starts at two numbers, not at 3"):
        descend(bowl, (1, 2, 3))
    with pytest.raises(ValueError, match="needs a path"):
        paths_figure({})


def test_a_loss_that_is_no_elementwise_function_has_a_surface():
    data = np.array([1.0, 2.0, 3.0])
    found = surface(lambda a, b: np.mean(np.square(a * data + b - data)), np.array([0.0, 1]),
                    np.array([0.0, 1]))
    np.testing.assert_allclose(found, [[14 / 3, 0], [5 / 3, 1]])


def test_panels_show_one_square_that_holds_all_paths_with_start_and_end_marked():
    paths = {"SGD": descend(bowl, (3, 1), lambda p: SGD(p, lr=0.09), 9),
             "Adam": descend(bowl, (-2, 4), lambda p: Adam(p, lr=0.3), 9)}
    figure = paths_figure(paths)
    middle, half = frame([*paths.values()])
    figure.draw_without_rendering()
    for axes, (name, path) in zip(figure.axes, paths.items(), strict=True):
        np.testing.assert_allclose(axes.get_xlim(), [middle[0] - half, middle[0] + half])
        np.testing.assert_allclose(axes.get_ylim(), [middle[1] - half, middle[1] + half])
        box = axes.get_window_extent()
        assert box.width == pytest.approx(box.height)
        line, start, end = axes.lines
        np.testing.assert_array_equal(line.get_xydata(), path.points)
        np.testing.assert_array_equal(start.get_xydata(), path.points[:1])
        np.testing.assert_array_equal(end.get_xydata(), path.points[-1:])
        assert axes.get_title() == (
            f"{name}\n9 steps, from {path.losses[0]:.3g} to {path.losses[-1]:.3g}")
        tight = axes.get_tightbbox()
        assert tight.y1 <= figure.bbox.y1  # the title is not cut off
        assert tight.y0 >= figure.bbox.y0


def test_between_two_contours_lies_an_equal_share_of_the_panel():
    path = descend(bowl, (3, 1), lambda p: SGD(p, lr=0.09), 9)
    (axes,) = paths_figure({"SGD": path}, levels=4, grid=50).axes
    middle, half = frame([path])
    x, y = (np.linspace(m - half, m + half, 50) for m in middle)
    levels = axes.collections[0].levels
    below = [np.mean(surface(bowl, x, y) <= level) for level in levels]
    np.testing.assert_allclose(below, [0.2, 0.4, 0.6, 0.8], atol=0.01)


def test_a_constant_loss_is_drawn_without_contours():
    path = descend(lambda x, y: 0 * x + 0 * y, (1, 1), steps=2)
    (axes,) = paths_figure({"flat": path}).axes
    assert not axes.collections
    axes.figure.draw_without_rendering()


# ── neighbours in training ──


@pytest.fixture(scope="module")
def recorded():
    recorder = NeighbourRecorder(["red", "rose"], topn=3)
    model = SkipGram(vector_size=6, window=2, min_count=1, loss="softmax", epochs=9).start(TEXT)
    recorder.keep(0, model.wv)
    vectors = []
    model.run(progress=False, callbacks=[recorder, lambda made: vectors.append(made.model.wv)])
    return recorder, vectors


def test_neighbours_of_every_pass_are_kept(recorded):
    recorder, vectors = recorded
    assert sorted(recorder.kept) == [*range(10)]
    for epoch, wv in enumerate(vectors, 1):
        for word in ("red", "rose"):
            assert recorder.kept[epoch][word] == wv.most_similar(word, topn=3)


def test_the_table_has_a_line_for_each_pass(recorded):
    lines = recorded[0].table("red").splitlines()
    assert len(lines) == 10
    near = recorded[0].kept[9]["red"]
    assert lines[9] == "pass 9  " + "  ".join(f"{word} {cosine:.2f}" for word, cosine in near)


def test_the_figure_shows_the_first_and_the_last_pass_and_all_places(recorded):
    (axes,) = recorded[0].figure("red").axes
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert (len(ticks), ticks[0], ticks[-1]) == (7, "pass 0", "pass 9")
    at = {text.get_position(): text.get_text() for text in axes.texts}
    for column, epoch in ((0, 0), (6, 9)):
        assert [at[column, rank] for rank in (1, 2, 3)] == [
            word for word, _ in recorded[0].kept[epoch]["red"]]
    for line in axes.lines:  # it joins places of one word
        (x0, y0), (x1, y1) = line.get_xydata()
        assert at[x0, y0] == at[x1, y1]
    axes.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_what_was_not_kept_is_an_error(recorded):
    with pytest.raises(KeyError, match="'blue' is not one of the words kept: red, rose"):
        recorded[0].figure("blue")
    with pytest.raises(ValueError, match="nothing has been kept yet"):
        NeighbourRecorder(["red"]).table("red")
    with pytest.raises(KeyError, match="'rad' is not among"):
        NeighbourRecorder(["rad"]).keep(0, recorded[1][0])


def test_a_recorder_of_a_word_is_not_one_of_its_letters(recorded):
    recorder = NeighbourRecorder("red", topn=3)
    recorder.keep(0, recorded[1][0])
    assert list(recorder.kept[0]) == ["red"]
