"""The Tensor itself: what it holds, how it is written to, how it converts."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_w2v as tg


def leaf(values=(1.0, 2.0), **settings):
    return tg.Tensor(values, requires_grad=True, **settings)


def test_edit_writes_within_its_block_only():
    w = leaf()
    with w.edit() as array:
        array += 1
    assert w.tolist() == [2, 3]
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 9


def test_a_view_kept_from_an_edit_cannot_change_the_tensor_later():
    w = leaf()
    with w.edit() as array:
        view = array[:]
        view[0] = 5
    loss = (w * w).sum()
    view[1] = 99
    loss.backward()
    assert w.tolist() == [5, 2]
    assert w.grad.tolist() == [10, 4]


def test_an_edit_that_keeps_nothing_does_not_move_the_memory():
    w = leaf()
    before = w._data
    with w.edit() as array:
        array[0] = 3
    assert w._data is before


def test_what_was_computed_within_an_edit_is_out_of_date_after_it():
    w = leaf()
    with w.edit() as array:
        loss = (w * w).sum()
        array[0] = 100
    with pytest.raises(tg.GraphError, match="optimiser step or edit"):
        loss.backward()


def test_edits_nest_and_end_with_an_exception():
    w = leaf()
    with w.edit() as outer:
        with w.edit() as inner:
            inner[0] = 7
        outer[1] = 8
    assert w.tolist() == [7, 8]
    with pytest.raises(KeyError), w.edit() as array:
        raise KeyError
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 9


@pytest.mark.parametrize("tensor", [tg.Tensor([1.0]), leaf() * 2], ids=["constant", "computed"])
def test_only_leaves_can_be_edited_and_have_a_gradient_to_set(tensor):
    with pytest.raises(tg.GraphError, match="requires_grad=True can be edited"), tensor.edit():
        pass
    with pytest.raises(tg.GraphError, match=r"requires_grad=True has a \.grad"):
        tensor.grad = np.ones(tensor.shape)
    assert tensor.grad is None


def test_a_gradient_that_is_set_takes_the_type_of_its_tensor():
    w = leaf(dtype=np.float32)
    w.grad = tg.Tensor([3.0, 4.0])
    assert type(w.grad) is np.ndarray
    assert w.grad.dtype == np.float32
    w.sum().backward()
    assert w.grad.tolist() == [4, 5]
    w.grad *= 0.5
    assert w.grad.tolist() == [2, 2.5]
    with pytest.raises(ValueError, match=r"of shape \(2,\) has that shape, not \(3,\)"):
        w.grad = np.ones(3)


def test_gradients_handed_out_earlier_do_not_change_with_later_ones():
    w = leaf()
    w.sum().backward()
    first = w.grad
    w.sum().backward()
    assert first.tolist() == [1, 1]
    assert w.grad.tolist() == [2, 2]


def test_gradients_of_scalars_are_arrays():
    w = leaf(3.0)
    (w * w + w).backward()
    (w + w).backward()
    assert type(w.grad) is np.ndarray
    assert w.grad.shape == ()
    assert w.grad == 9


def test_adding_up_in_a_loop_is_a_new_tensor_each_time():
    w, total = leaf(), tg.Tensor(0.0)
    before = total
    for x in w:
        total += x * x
        total -= 0.5
        total *= 2
        total /= 2
    assert before.item() == 0
    total.backward()
    assert w.grad.tolist() == [2, 4]


def test_numbers_format_and_convert():
    w = leaf(2.5)
    assert f"{w:.2f}" == "2.50"
    assert f"{tg.Tensor([1.0])}" == "Tensor([1.])"
    assert (float(w), int(w), w.item(), bool(w)) == (2.5, 2, 2.5, True)
    assert repr(leaf(dtype=np.float32)) == "Tensor([1., 2.], dtype=float32, requires_grad=True)"


def test_length_iteration_and_positions():
    w = leaf([3.0, 1.0, 2.0])
    assert len(w) == 3
    assert [x.item() for x in w] == [3, 1, 2]
    assert (w.argmax(), w.argmin(), np.argmax(w)) == (0, 1, 0)
    assert leaf(np.ones((2, 3))).T.shape == leaf(np.ones((2, 3))).mT.shape == (3, 2)


def test_a_number_to_the_power_2_is_a_square():
    for two in (2, 2.0):
        assert (leaf() ** two)._node.rule.name == "square"
    assert (leaf() ** np.array([2, 2]))._node.rule.name == "power"


def test_copies_and_pickles_of_leaves_are_leaves_of_their_own():
    w = leaf()
    for twin in (copy.deepcopy(w), copy.copy(w), pickle.loads(pickle.dumps(w))):
        (twin * w).sum().backward()
        assert twin.grad.tolist() == w.grad.tolist() == [1, 2]
        w.zero_grad()
    with pytest.raises(TypeError, match="detach"):
        copy.deepcopy(w * 2)


def test_functions_of_lists_and_arrays_are_plain_numpy():
    assert type(tg.softplus([1.0, 2.0])) is np.ndarray
    assert type(tg.exp(np.ones(2))) is np.ndarray
    assert tg.add(np.ones(2, np.float32), 2.0).dtype == np.float32


def test_an_array_is_copied_unless_it_is_handed_over():
    array = np.ones(3)
    own, copy = tg.Tensor(array, copy=False), tg.Tensor(array)
    array[0] = 2  # nobody should; but it shows whose memory it is
    assert own.numpy().tolist() == [2, 1, 1]
    assert copy.numpy().tolist() == [1, 1, 1]
    assert not own.data.flags.writeable
    assert array.flags.writeable
    assert tg.Tensor([1, 2], dtype=float, copy=False).dtype == float


def test_a_view_kept_from_a_second_edit_under_the_same_name_loses_its_hold():
    w = tg.Tensor([1.0, 2.0], requires_grad=True)
    with w.edit() as values:
        values *= 2
    with w.edit() as values:
        kept = values[:]
    kept[0] = 99
    assert w.data.tolist() == [2, 4]


def test_a_tensor_whose_edit_was_kept_is_as_read_only_as_before():
    w = leaf()
    with w.edit() as array:
        kept = array[:]
    assert kept.base is not None
    assert not w.data.flags.writeable
    assert not w._data.flags.writeable


def test_a_seed_may_be_a_tensor_under_differentiation_and_counts_as_its_values():
    w = leaf()
    (w * 3).backward(w)
    assert w.grad.tolist() == [3, 6]


def test_a_vector_may_be_transposed_by_its_one_axis():
    assert tg.vjp(lambda x: x.transpose(0) * 2, [1.0, 2.0])[1]([1.0, 10.0])[0].tolist() == [2, 20]


def test_what_was_computed_before_an_edit_is_out_of_date_within_it():
    w = leaf()
    loss = (w * w).sum()
    with w.edit() as array:
        array[0] = 5
        with pytest.raises(tg.GraphError, match="optimiser step or edit"):
            loss.backward()


def test_a_number_may_be_given_its_own_shape():
    assert tg.Tensor(3.0).reshape().shape == tg.Tensor([3.0]).reshape(()).shape == ()


@pytest.mark.parametrize("values", [[1.0, 2.0], []])
def test_many_values_and_none_are_formatted_as_their_text(values):
    x = tg.Tensor(np.array(values))
    assert f"{x:>20}" == f"{x!r:>20}"


def test_numpys_functions_without_a_slope_take_tensors_by_name_and_axes_in_a_tuple():
    x = leaf()
    assert np.array_equal(a1=x, a2=x)
    assert np.round(leaf([0.25]), decimals=1).tolist() == [0.2]
    assert np.any(leaf(np.eye(2)), (0, 1))


def test_the_array_that_numpy_gets_of_a_constant_cannot_be_made_writable():
    array = np.asarray(tg.Tensor([1.0, 2.0]))
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True
