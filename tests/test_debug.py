"""`tg.debug()`: the first NaN or infinity is found, with its operation and the user's line.

Each planted fault is a short program. The line to be named carries the comment FAULT.
"""

import asyncio
import inspect
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v import watch
from tinygrad_w2v.debug import NOTE, VARIABLE, NonFiniteError, kind_of
from tinygrad_w2v.testing.ops import OPS
from tinygrad_w2v.word2vec import SkipGram
from tinygrad_w2v.word2vec.objective import negative_loss

F4 = np.float32
TEXT = [["the", "red", "rose"], ["the", "blue", "rose"], ["a", "loud", "drum"]] * 40
SMALL = {"vector_size": 8, "window": 2, "min_count": 1, "epochs": 2}


def leaf(values, dtype=float):
    return tg.Tensor(values, requires_grad=True, dtype=dtype)


def line_of(program):
    """The number of the line with the comment FAULT in the source of a function."""
    lines, first = inspect.getsourcelines(program)
    (found,) = [n for n, line in enumerate(lines) if "# FAULT" in line]
    return first + found


@dataclass
class Planted:
    """A program with a fault, the operation to be named, and words of the diagnosis."""

    program: object
    operation: str
    says: tuple
    backward: bool = False
    settings: dict = field(default_factory=dict)


FAULTS, ERRORS = {}, {}


def fault(name, operation, *says, backward=False, **settings):
    def plant(program):
        FAULTS[name] = Planted(program, operation, says, backward, settings)
        return program
    return plant


def error(name, operation, *says):
    def plant(program):
        ERRORS[name] = Planted(program, operation, says)
        return program
    return plant


# ── forward: hand-written losses and layers ───────────────────────────────────────────────────────


@fault("log of a softmax that is 0", "log", "operand 0, `p`: 0 there", "log_softmax")
def _():
    p = tg.softmax(leaf([[-2000.0, 0.0], [1.0, 2.0]]))
    return -(np.eye(2) * np.log(p)).sum()  # FAULT


@fault("cross-entropy by hand, over an MLP", "log", "log(0) is -inf")
def _():
    model = tg.nn.MLP([2, 4, 2], rng=0)
    scores = model(np.full((5, 2), 0.5)) * 1e5
    p = tg.softmax(scores)
    chosen = p[np.arange(5), np.argmin(p, axis=1)]
    return -np.mean(
        np.log(chosen))  # FAULT


@fault("binary cross-entropy by hand", "log", "log_sigmoid")
def _():
    p = tg.sigmoid(leaf([40.0, 0.0]))
    return -np.log(1 - p).mean()  # FAULT


@fault("sigmoid by hand", "exp", "from x = 709.8 up", "sigmoid")
def _():
    x = leaf([-1000.0, 1.0])
    return 1 / (1 + np.exp(-x))  # FAULT


@fault("softmax by hand", "exp", "subtract the maximum", "1000 there; range 0 … 1000")
def _():
    scores = leaf([[1000.0, 0.0]])
    e = tg.exp(scores)  # FAULT
    return e / e.sum(axis=1, keepdims=True)


@fault("exp overflows float32", "exp", "larger than float32 can hold", "from x = 88.7 up")
def _():
    return tg.exp(leaf([1.0, 90.0], F4))  # FAULT


@fault("a row that is masked whole", "subtract", "inf − inf", inf=False)
def _():
    mask = np.array([[True, False], [False, False]])
    scores = tg.where(mask, leaf(np.ones((2, 2))), -np.inf)
    scores = scores - np.max(scores, axis=1, keepdims=True)  # FAULT
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


@fault("a mask of infinities times 0", "multiply", "0 · inf", inf=False)
def _():
    return (leaf([0.0, 1.0]) * np.array([-np.inf, 1.0])).sum()  # FAULT


@fault("0 / 0", "divide", "0 / 0: the divisor must not be 0", "operand 1, `n`: 0 there")
def _():
    total, n = leaf([0.0, 3.0]), np.array([0, 2])
    return total / n  # FAULT


@fault("a vector of length 0 is normalised", "divide", "0 / 0", "from norm() in")
def _():
    v = leaf([[3.0, 4.0], [0.0, 0.0]])
    return v / tg.norm(v, axis=1, keepdims=True)  # FAULT


@fault("1 / 0", "reciprocal", "1 / 0", "at element (1,) of shape (2,) [1 of 2 not finite]")
def _():
    return tg.reciprocal(leaf([1.0, 0.0]))  # FAULT


@fault("a root of a negative number", "power", "negative number has no real power")
def _():
    return leaf([4.0, -4.0]) ** 0.5  # FAULT


@fault("0 to a negative power", "power", "0 to a negative power")
def _():
    return (leaf([0.0]) ** -1.0).sum()  # FAULT


@fault("a variance that rounding took below 0", "sqrt", "rounding may have taken", "maximum(x, 0)")
def _():
    x = leaf([1e8 + 1, 1e8 + 1, 1e8 + 1.0])
    return tg.sqrt((x * x).mean() - x.mean() ** 2 - 1)  # FAULT


@fault("arcsin outside its domain", "arcsin", "clip(x, -1, 1)")
def _():
    return tg.arcsin(leaf([1.0 + 1e-9]))  # FAULT


@fault("log1p at -1", "log1p", "add a small eps")
def _():
    return tg.log1p(leaf([-1.0]))  # FAULT


@fault("log of a negative number", "log2", "log of a negative number is not a real number")
def _():
    return tg.log2(leaf([2.0, -2.0]))  # FAULT


@fault("a norm overflows float32", "norm", "larger than float32 can hold", "or use float64")
def _():
    return tg.norm(leaf([1e30, 1.0], F4))  # FAULT


@fault("a product of matrices overflows", "matmul", "larger than float32 can hold")
def _():
    w = leaf(np.full((3, 3), 1e20), F4)
    return w @ w  # FAULT


@fault("the deviation of one value", "std")
def _():
    return tg.std(leaf([[1.0], [2.0]]), axis=1, ddof=1)  # FAULT


@fault("without recording", "log", "log(0)")
def _():
    with tg.no_grad():
        return tg.log(leaf([0.0]))  # FAULT


@fault("on plain arrays", "log", "log(0)")
def _():
    return tg.log(np.zeros(2))  # FAULT


# ── forward: what was there before ────────────────────────────────────────────────────────────────


@fault("NaN in the data of an MLP", "matmul", "operand 0 came in with nan at element (2, 1)",
       "a constant, and the fault is in the data", "nn.py, line", "in Linear.__call__")
def _():
    model, x = tg.nn.MLP([2, 4, 1], rng=0), np.ones((4, 2))
    x[2, 1] = np.nan
    return model(x)  # FAULT


@fault("NaN in the targets", "subtract", "operand 1 came in with nan at element (1, 0)",
       "nn.py, line", "in mse")
def _():
    model = tg.nn.MLP([2, 4, 1], rng=0)
    y = model(np.ones((2, 2)))
    return tg.nn.mse(y, [[0.0], [np.nan]])  # FAULT


@fault("NaN in the initialisation", "matmul", "operand 1, `self.weight`", "so when it was made")
def _():
    def init(n_in, n_out, rng):
        return np.full((n_in, n_out), np.nan)
    model = tg.nn.MLP([2, 4, 1], init=init)
    return model(np.ones((3, 2)))  # FAULT


@fault("a row of NaN in a table of vectors", "take", "operand 0 came in with nan at element (2, 0)",
       "objective.py, line", "in negative_loss")
def _():
    tables = np.ones((2, 4, 3))
    tables[1, 2] = np.nan
    V, U = map(leaf, tables)
    ids = np.array([0, 1])
    return negative_loss(V, U, ids, ids, np.array([[3], [2]]))  # FAULT


@fault("a leaf that a program changed before the block", "multiply",
       "changed in place, by an optimiser's step")
def _():
    w = leaf([1.0])
    with watch.edit(w) as values:  # as it is outside of a block
        values[0] = np.nan
    return w * 2  # FAULT


@fault("-inf in the data", "add", "-inf at element (1,)", "debug(inf=False)")
def _():
    return leaf([1.0, 2.0]) + [0.0, -np.inf]  # FAULT


# ── models ────────────────────────────────────────────────────────────────────────────────────────


@fault("an activation of the user's in an MLP", "sqrt", "sqrt of a negative number")
def _():
    root = lambda z: np.sqrt(z)  # FAULT
    return tg.nn.MLP([2, 8, 1], activation=root, rng=0)(np.ones((3, 2)))


@fault("a learning rate that is too high", "square", "lower learning rate", "nn.py", "in mse")
def _():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 2)), rng.normal(size=(16, 1))
    model = tg.nn.MLP([2, 8, 8, 1], activation="relu", rng=0)
    optimizer = tg.optim.SGD(model.parameters(), lr=1e3)
    for _ in range(200):
        loss = tg.nn.mse(model(x), y)  # FAULT
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@fault("a step of an optimiser", "edit", "left nan in `w`")
def _():
    w = leaf([1.0, 2.0])
    (w[1] * 2).backward()
    g, seen = w.grad, np.square(w.grad)
    with np.errstate(invalid="ignore"), w.edit() as values:  # FAULT
        values -= g / np.sqrt(seen)


class Unguarded(tg.optim.Optimizer):
    def update(self, x, g):
        x -= self.lr * g / np.abs(g)


@fault("an optimiser of the user's", "edit", "optim.py, line", "in Optimizer.step")
def _():
    w = leaf([1.0, 2.0])
    optimizer = Unguarded([w], lr=0.1)
    (w * [0.0, 1.0]).sum().backward()
    with np.errstate(all="ignore"):
        optimizer.step()  # FAULT


@fault("a callback writes NaN while SkipGram trains", "edit", "at element (3, 0)")
def _():
    def poison(made):
        with made.model.V.edit() as values:  # FAULT
            values[3] = np.nan
    SkipGram(**SMALL).fit(TEXT, progress=False, callbacks=[poison])


@fault("a callback writes NaN behind the Tensors' back", "matmul_t", "operand 0, `v`", "tiles.py",
       "in tile_loss", "came in with nan")
def _():
    def poison(made):
        made.model._trainer._team.arrays["V"][:] = np.nan
    SkipGram(**SMALL).fit(TEXT, progress=False, callbacks=[poison])  # FAULT


@fault("SkipGram at a rate of 1e30", "matmul_t", "exact.py, line", "in scored")
def _():
    SkipGram(**SMALL, loss="softmax", lr=1e30).fit(TEXT, progress=False)  # FAULT


@fault("vectors that are too long", "multiply", "larger than float32", "in negative_loss")
def _():
    V, U, ids = leaf(np.full((4, 3), 1e20), F4), leaf(np.full((4, 3), 1e20), F4), np.arange(4)
    return negative_loss(V, U, ids, ids, ids[:, None])  # FAULT


# ── backward ──────────────────────────────────────────────────────────────────────────────────────


@fault("the slope of sqrt at 0", "sqrt", "by operand 0 gave inf", "the slope of sqrt at 0",
       "the result: 0 there", "backward from", backward=True)
def _():
    x = leaf([4.0, 0.0])
    y = tg.sqrt(x)  # FAULT
    y.sum().backward()


@fault("a norm by hand, at 0", "sqrt", "norm() and std() have slope 0 there", backward=True)
def _():
    v = leaf(np.zeros((2, 3)))
    length = np.sqrt(np.square(v).sum(axis=1))  # FAULT
    tg.nn.mse(length, [1.0, 1.0]).backward()


@fault("the slope of sqrt beside a dead one", "sqrt", "at element (1,) of shape (2,) [1 of 2",
       "the cotangent that came in: 3 there; range 0 … 3", backward=True)
def _():
    y = np.sqrt(leaf([0.0, 0.0]))  # FAULT
    (y * [0.0, 3.0]).sum().backward()


@fault("the slope of a power beside a dead one, broadcast", "power", "at element (0,) of shape",
       "the cotangent that came in: 3 there; range 0 … 3", backward=True)
def _():
    y = leaf([0.0]) ** np.array([0.5, 0.5])  # FAULT
    (y * [0.0, 3.0]).sum().backward()


@fault("a power below 1, at 0", "power", "a power below 1 at 0 is infinite", backward=True)
def _():
    x = leaf([0.0, 1.0])
    y = (x ** 0.5).sum()  # FAULT
    y.backward()


@fault("the slope of log at a tiny number", "log", "operand 0: 4.94066e-324 there", backward=True)
def _():
    loss = -np.log(leaf([1.0, 5e-324])).sum()  # FAULT
    loss.backward()


@fault("a tiny divisor", "divide", "by operand 1 gave -inf", backward=True)
def _():
    x, y = leaf([1.0]), leaf([1e-200])
    (x / y).sum().backward()  # FAULT


@fault("arcsin at 1", "arcsin", "clip(x, -1 + 1e-6", backward=True)
def _():
    angle = tg.arcsin(leaf([0.0, 1.0]))  # FAULT
    angle.sum().backward()


@fault("a gradient overflows float32", "exp", "the cotangent that came in: 1e+10 there",
       "larger than float32 can hold", backward=True)
def _():
    y = np.exp(leaf([80.0, 1.0], F4))  # FAULT
    y.backward(np.array([1e10, 1.0]))


@fault("shares that add up to too much", "add", "the shares of a cotangent, added up",
       backward=True)
def _():
    a = leaf([1.0], F4) * 2
    y = a + a  # FAULT
    y.backward(np.array([3e38]))


@fault("a sum over what was broadcast overflows", "add", "sum over the axes that were broadcast",
       backward=True)
def _():
    bias, x = leaf([1.0], F4), np.ones(100, F4)
    z = x + bias  # FAULT
    z.backward(np.full(100, 1e38))


@fault("a gradient of float64 does not fit in float32", "multiply", "use one type throughout",
       backward=True)
def _():
    x, factor = leaf([1.0], F4), np.array([1e100])
    z = x * factor  # FAULT
    z.sum().backward()


@fault("rows that receive too much", "take", "rows were looked up several times", backward=True)
def _():
    V = leaf(np.ones((3, 2)), F4)
    rows = tg.take(V, [1, 1])  # FAULT
    rows.backward(np.full((2, 2), 3e38))


@fault("a .grad that is never cleared", "backward", "the .grad that was there", "zero_grad()",
       backward=True)
def _():
    x = leaf([1.0], F4)
    for _ in range(3):
        (x * F4(2e38)).sum().backward()  # FAULT


@fault("NaN in the seed", "multiply", "the fault is in the cotangent", backward=True)
def _():
    y = leaf([1.0, 2.0]) * 3  # FAULT
    y.backward(np.array([1.0, np.nan]))


step = tg.rule(lambda x: x + 0.0, x=lambda g, x: g / (x - x))
root = tg.rule(lambda x: np.abs(x), x=lambda g, x: g * x**-1.5)


@fault("a slope of the user's that divides by 0", "<lambda>", "by operand 0 gave inf",
       backward=True)
def _():
    y = step(leaf([1.0, 2.0]))  # FAULT
    y.sum().backward()


@fault("a slope of the user's inside an MLP", "<lambda>", "nn.py, line", "in MLP.__call__",
       backward=True)
def _():
    model = tg.nn.MLP([2, 4, 1], activation=root, rng=0)
    y = model(np.zeros((3, 2)))  # FAULT
    y.sum().backward()


@fault("a branch that was not taken, strictly", "sqrt", "the slope of sqrt at 0", backward=True,
       strict=True)
def _():
    x = leaf([0.0, 4.0])
    root = tg.sqrt(x)  # FAULT
    tg.where(x > 0, root, x).sum().backward()


def taken(f):
    """A rule with the slope of f, which it takes by a walk of its own."""
    return tg.rule(lambda x: f(x), elementwise=True, x=lambda g, x: g * tg.grad(
        lambda t: f(t).sum())(x).data)


@fault("shares that add up, after walks within walks", "<lambda>", "that of <lambda>()",
       backward=True)
def _():
    cube = taken(lambda t: t**3)
    a = leaf([1.0], F4) * 2
    y = [cube(a) for _ in range(2)]  # FAULT
    tg.concatenate(y).backward(np.full(2, 2e37))


@fault("a slope of the user's that takes Tensors alone", "<lambda>", backward=True)
def _():
    strange = tg.rule(lambda x: x + 0.0, x=lambda g, x: g.detach() / (x - x))
    f = lambda x: strange(x)  # FAULT
    return tg.grad(tg.grad(f))(1.0)


# ── higher orders ─────────────────────────────────────────────────────────────────────────────────


@fault("the second derivative of x ** 1.5 at 0", "power", "a part of the derivative of power()",
       backward=True)
def _():
    f = lambda x: x ** 1.5  # FAULT
    return tg.grad(tg.grad(f))(0.0)


@fault("the second derivative of log near 0", "divide", "a part of the derivative of log()",
       "by operand 1 gave -inf", backward=True)
def _():
    def f(x):
        return tg.log(x).sum()  # FAULT
    return tg.hessian(f)([1e-160, 1.0])


@fault("a recorded walk through sqrt at 0", "sqrt", "the slope of sqrt at 0", backward=True)
def _():
    def penalty(x):
        return (tg.grad(lambda x: np.sqrt(x).sum())(x) ** 2).sum()  # FAULT
    return tg.grad(penalty)([0.0, 1.0])


@fault("a recorded sum over what was broadcast overflows", "add", "the axes that were broadcast",
       backward=True)
def _():
    x = np.zeros(100, F4)
    f = lambda bias: ((x + bias) * F4(1e38)).sum()  # FAULT
    return tg.grad(tg.grad(f))(F4(0))


@fault("recorded shares that add up to too much", "add", "the shares of a cotangent, added up",
       backward=True)
def _():
    def f(x):
        a = x * 2
        return (a + a) * F4(3e38)  # FAULT
    return tg.grad(tg.grad(f))(F4(1e-10))


@fault("a Hessian times a vector, of a norm by hand", "sqrt", backward=True)
def _():
    f = lambda x: np.sqrt((x * x).sum())  # FAULT
    return tg.hvp(f, [0.0, 0.0], [1.0, 0.0])


@pytest.mark.parametrize("name", FAULTS)
def test_the_operation_and_the_line_are_named(name):
    planted = FAULTS[name]
    with pytest.raises(NonFiniteError) as caught, tg.debug(**planted.settings):
        planted.program()
    found = caught.value
    assert (found.operation, found.backward) == (planted.operation, planted.backward), str(found)
    assert (found.filename, found.lineno) == (__file__, line_of(planted.program)), str(found)
    for words in (*planted.says, f"test_debug.py, line {found.lineno}, in "):
        assert words in str(found), str(found)
    lines = str(found).splitlines()
    assert len(set(lines)) == len(lines)  # nothing is said twice
    assert not hasattr(found, "__notes__")


def test_there_are_forty_planted_faults_and_more():
    assert len(FAULTS) >= 40


# ── errors of operations ──────────────────────────────────────────────────────────────────────────


@error("sides that do not fit", "add() of shape (2,) and (3,)")
def _():
    return leaf([1.0, 2.0]) + np.ones(3)  # FAULT


@error("matrices that do not fit", "matmul() of shape (2, 3) and (2, 3)")
def _():
    return leaf(np.ones((2, 3))) @ np.ones((2, 3))  # FAULT


@error("an index out of range", "index() of shape (2,)")
def _():
    return leaf([1.0, 2.0])[5]  # FAULT


@error("the id of a word that is not there", "index()")
def _():
    V = leaf(np.ones((4, 3)))
    return V[np.array([0, 4])]  # FAULT


@error("rows that are not there", "take()")
def _():
    return tg.take(np.ones((4, 3)), [7])  # FAULT


@error("unlike shapes, joined", "concatenate()")
def _():
    return np.concatenate([leaf([1.0]), np.ones((2, 2))])  # FAULT


@error("another size", "reshape() of shape (6,)")
def _():
    return leaf(np.ones(6)).reshape(4)  # FAULT


@error("a class that is not there", "cross_entropy()", "nn.py, line", "in _class_ids")
def _():
    return tg.nn.cross_entropy(leaf(np.ones((2, 3))), [0, 3])  # FAULT


@error("data of another width", "MLP.__call__()", "nn.py, line", "in Linear.__call__")
def _():
    return tg.nn.MLP([2, 3, 1])(np.ones((5, 3)))  # FAULT


@error("a keyword that is not there", "sum()")
def _():
    return tg.sum(leaf([1.0]), dim=0)  # FAULT


@error("a mean of nothing, where warnings are errors", "mean() of shape (0,)")
def _():
    return np.mean(leaf([]))  # FAULT


@error("a slope of the wrong shape", "the derivative of <lambda>() by operand 0, computed in")
def _():
    wrong = tg.rule(lambda x: x + 0.0, x=lambda g: np.ones(7))
    y = wrong(leaf([1.0, 2.0]))
    y.sum().backward()  # FAULT


@error("a slope that raises", "the derivative of <lambda>() by operand 0, computed in")
def _():
    wrong = tg.rule(lambda x: x + 0.0, x=lambda g, x: g @ np.ones((5, 5)))
    y = wrong(leaf([1.0, 2.0]))
    y.sum().backward()  # FAULT


@error("a parameter that has changed", "the derivative of multiply() by operand 0, computed in")
def _():
    w = leaf([1.0])
    loss = (w * w).sum()
    with w.edit() as values:
        values += 1
    loss.backward()  # FAULT


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_gets_one_note_with_the_operation_and_the_line(name):
    planted = ERRORS[name]
    with pytest.raises(Exception) as plain:  # noqa: PT011 - whichever it is
        planted.program()
    with pytest.raises(plain.type) as caught, tg.debug():
        planted.program()
    assert str(caught.value) == str(plain.value)
    (note,) = caught.value.__notes__
    for words in (*planted.says, f"test_debug.py, line {line_of(planted.program)}, in "):
        assert words in note
    assert note.startswith(NOTE + planted.operation)


def test_errors_of_the_user_get_no_note():
    def raises(z):
        raise ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught, tg.debug():
        tg.nn.MLP([2, 3, 1], activation=raises)(np.ones((1, 2)))
    assert not hasattr(caught.value, "__notes__")
    with pytest.raises(ValueError, match="broadcast") as caught, tg.debug():
        np.ones(2) + np.ones(3)
    assert not hasattr(caught.value, "__notes__")


# ── no false alarm ────────────────────────────────────────────────────────────────────────────────


def trained(activation, loss_of, optimizer, dtype=float):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2)).astype(dtype)
    labels = (np.square(x).sum(axis=1) < 1).astype(int)
    model = tg.nn.MLP([2, 8, 2], activation=activation, rng=0, dtype=dtype)
    moves = optimizer(model.parameters())
    for _ in range(20):
        loss = loss_of(model(x), labels)
        moves.zero_grad()
        loss.backward()
        moves.step()
    return b"".join(p.data.tobytes() for p in model.parameters())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", sorted(tg.nn.ACTIVATIONS))
@pytest.mark.parametrize("optimizer", [
    lambda p: tg.optim.SGD(p, lr=0.1, momentum=0.9), lambda p: tg.optim.Adagrad(p, lr=0.1),
    lambda p: tg.optim.Adam(p, lr=0.05)], ids=["SGD", "Adagrad", "Adam"])
def test_training_of_an_mlp_has_the_same_bits_and_no_alarm(activation, optimizer, dtype):
    loss = lambda y, labels: (tg.nn.cross_entropy(y, labels) + tg.nn.binary_cross_entropy(
        y, np.eye(2)[labels]) + tg.nn.mse(y, np.eye(2)[labels]))
    with tg.debug(strict=True):
        watched = trained(activation, loss, optimizer, dtype)
    assert watched == trained(activation, loss, optimizer, dtype)


@pytest.mark.parametrize("settings", [
    {"loss": "softmax"}, {"loss": "softmax", "bias": False}, {"loss": "negative"},
    {"loss": "negative", "workers": 2}], ids=str)
def test_training_of_word_vectors_has_the_same_bits_and_no_alarm(settings):
    plain = SkipGram(**SMALL, **settings).fit(TEXT, progress=False)
    with tg.debug():
        watched = SkipGram(**SMALL, **settings).fit(TEXT, progress=False)
        assert watched.objective(TEXT) == plain.objective(TEXT)
    assert watched.losses == plain.losses
    assert all(np.array_equal(a.data, b.data)
               for a, b in ((plain.V, watched.V), (plain.U, watched.U)))


RIGHT = {
    "a branch that was not taken": lambda: tg.grad(lambda x: tg.where(
        x > 0, tg.sqrt(x), x).sum())([0.0, 4.0]),
    "lengths of 0, the safe way": lambda: tg.grad(lambda v: tg.norm(v, axis=1).sum())(
        np.zeros((2, 3))),
    "scores of any size": lambda: tg.hessian(lambda z: tg.nn.cross_entropy(z, [0]))(
        [[1e4, -1e4, 0.0]]),
    "a dead branch whose slope takes a walk of its own": lambda: tg.grad(lambda x: tg.where(
        x > 0, taken(tg.sqrt)(x), 0).sum())([0.0, 4.0]),
    "a dead branch whose slope adds up to too much": lambda: tg.grad(lambda x: tg.where(
        [False, True], taken(lambda t: tg.log(t) + tg.log(t))(x), 0).sum())(F4([4e-39, 1.0])),
    "infinite bounds": lambda: tg.grad(lambda x: tg.clip(x, 0, None).sum())([1.0, -1.0]),
    "products with zeros": lambda: tg.hessian(tg.prod)([0.0, 2.0, 0.0]),
    "rows that are looked up twice": lambda: tg.grad(lambda V: tg.take(V, [1, 1]).sum())(
        np.ones((3, 2))),
    "a sum of squares that overflows on the way": lambda: tg.Tensor([1e200, 1.0]) * 2,
    "words, integers and booleans": lambda: (tg.take(np.array(["a", "b"]), [1]),
                                             tg.reshape(np.array([True]), shape=(1, 1))),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_raises_no_alarm(name):
    with tg.debug():
        RIGHT[name]()


def test_infinities_may_be_meant():
    with tg.debug(inf=False):
        scores = tg.where(np.array([True, True, False]), leaf([1.0, 2.0, 3.0]), -np.inf)
        tg.softmax(scores)[0].backward()
        x = leaf([0.0, 1.0])
        tg.where(x > 0, tg.log(x), 0).sum().backward()
    assert x.grad.tolist() == [0, 1]


def test_the_value_that_jvp_throws_away_is_not_looked_at():
    def f(x):
        z = tg.log(x)
        return np.stack([z, -z])
    with tg.debug(inf=False):
        _, tangent = tg.jvp(f, [2.0, 0.0], [1.0, 0.0])
    assert tangent.data[:, 0].tolist() == [0.5, -0.5]


def test_the_settings_of_the_innermost_block_hold():
    x = leaf([0.0])
    with tg.debug():
        with tg.debug(inf=False):
            tg.log(x)
        with pytest.raises(NonFiniteError):
            tg.log(x)


@pytest.mark.parametrize("spec", OPS, ids=lambda spec: spec.name)
def test_every_operation_has_the_same_bits_and_no_alarm(spec):
    def results():
        rng, found = np.random.default_rng(0), []
        for call in spec.calls:
            operands = [leaf(a) for a in spec.draw(call, rng)]
            out = spec.bind(call)(*operands)
            out.sum().backward()
            found += [np.asarray(a).tobytes() for a in (out.data, *[x.grad for x in operands])]
        return found

    with tg.debug(strict=True):
        watched = results()
    assert watched == results()


# ── NumPy's own warnings ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("numpy", ["warn", "raise"])
def test_the_diagnosis_takes_the_place_of_numpys_warning(numpy):
    for action in "error", "always":
        with warnings.catch_warnings(record=True) as seen, np.errstate(all=numpy):
            warnings.simplefilter(action)
            with pytest.raises(NonFiniteError, match="log"), tg.debug():
                tg.log(leaf([0.0]))
        assert seen == []


def test_numpys_warnings_on_plain_arrays_stay():
    with tg.debug(), pytest.warns(RuntimeWarning, match="divide by zero"):
        np.log(np.zeros(1))


# ── the block ─────────────────────────────────────────────────────────────────────────────────────


def bad():
    return tg.log(leaf([0.0]))


def is_watched():
    with np.errstate(all="ignore"):
        try:
            bad()
        except NonFiniteError:
            return True
    return False


def test_it_ends_with_the_block_and_after_an_error():
    for _ in range(2):
        with pytest.raises(NonFiniteError), tg.debug():
            bad()
        assert not is_watched()


def test_it_decorates_functions_that_call_themselves():
    @tg.debug()
    def recurse(n):
        return is_watched() and (n == 0 or recurse(n - 1)) and is_watched()
    assert recurse(3)
    assert not is_watched()


def test_one_block_may_be_entered_again_while_it_is_open():
    block = tg.debug()
    with block, block:
        assert is_watched()
    assert not is_watched()
    with block:
        assert is_watched()
    assert not is_watched()


def test_it_decorates_coroutines_and_refuses_generators():
    @tg.debug()
    async def work():
        await asyncio.sleep(0)
        return is_watched()
    assert asyncio.run(work())
    with pytest.raises(TypeError, match="generator numbers"):
        @tg.debug()
        def numbers():
            yield 1


def test_one_decorator_serves_threads_at_the_same_time():
    both, ended = threading.Barrier(2), threading.Barrier(2)

    @tg.debug()
    def work(first):
        both.wait(10)
        if not first:
            ended.wait(10)  # until the other one has left its block
        return is_watched()

    def run(first):
        found = work(first)
        if first:
            ended.wait(10)
        return found, is_watched()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, [True, False])) == [(True, False)] * 2


def test_other_threads_are_not_watched():
    with tg.debug(), ThreadPoolExecutor(1) as pool:
        assert not pool.submit(is_watched).result()
        assert is_watched()


def test_the_error_travels_between_processes():
    with pytest.raises(NonFiniteError) as caught, tg.debug():
        bad()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.lineno) == (str(caught.value), caught.value.lineno)


def test_files_are_told_apart(monkeypatch):
    monkeypatch.chdir(os.path.dirname(tg.__file__))  # where "<stdin>" is no file of the package
    kinds = {tg.nn.__file__: "package", watch.__file__: "engine", np.__file__: "python",
             os.__file__: "python", "<frozen runpy>": "python", "<stdin>": "user",
             "<doctest x.md[0]>": "user", __file__: "user",
             os.path.join(os.path.dirname(pytest.__file__), "__init__.py"): "installed"}
    kind_of.cache_clear()
    assert {name: kind_of(name) for name in kinds} == kinds


def test_the_line_is_known_in_a_program_without_its_source():
    names = {"tg": tg, "leaf": leaf}
    with pytest.raises(NonFiniteError, match="<program>, line 3") as caught, tg.debug():
        exec(compile("\n\ny = tg.log(leaf([0.0]))", "<program>", "exec"), names)
    assert (caught.value.filename, caught.value.lineno) == ("<program>", 3)


def test_a_graph_made_before_the_block_is_reported_without_its_line():
    y = tg.sqrt(leaf([0.0]))
    with pytest.raises(NonFiniteError, match="before this block was opened") as caught, tg.debug():
        y.backward()
    assert (caught.value.operation, caught.value.backward) == ("sqrt", True)


# ── memory ────────────────────────────────────────────────────────────────────────────────────────


def test_a_long_loop_within_a_block_does_not_grow():
    x = leaf([1.0])

    def steps(n):
        for _ in range(n):
            x.zero_grad()
            (x * x).backward()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        with tg.debug():
            before = steps(100)
            assert steps(10_000) - before < 20_000  # a byte or two a step would show
    finally:
        tracemalloc.stop()


def test_places_are_kept_for_graphs_of_any_size():
    def long():
        y = tg.sqrt(leaf([0.0]))  # FAULT
        for _ in range(20_000):
            y = y + 1
        y.backward()

    with pytest.raises(NonFiniteError, match="slope of sqrt") as caught, tg.debug():
        long()
    assert caught.value.lineno == line_of(long)


# ── worker processes ──────────────────────────────────────────────────────────────────────────────


def test_worker_processes_are_told_by_the_environment():
    assert VARIABLE not in os.environ
    with tg.debug(inf=False):
        assert os.environ[VARIABLE] == "on,nan"
        with tg.debug(strict=True):
            assert os.environ[VARIABLE] == "on,strict"
        assert os.environ[VARIABLE] == "on,nan"
    assert VARIABLE not in os.environ


@pytest.mark.parametrize(("setting", "raises"), [
    ("1", True), ("on,nan", False), ("0", False), ("", False)])
def test_a_program_is_watched_whole_by_the_environment(setting, raises):
    code = "import numpy as np, tinygrad_w2v as tg; tg.log(np.zeros(1))"
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], text=True,
                         capture_output=True, env={**os.environ, VARIABLE: setting},
                         cwd=os.path.dirname(os.path.dirname(tg.__file__)))
    assert ("NonFiniteError: log() gave -inf" in run.stderr) == raises == bool(run.returncode)


def error_of_a_long_vector(word):
    """What comes out of the training by two processes when one word's vector is too long."""
    def lengthen(made):
        made.model._trainer._team.arrays["V"][made.model.vocabulary.index[word]] = 3e38

    rare = [[f"rare{k}", *["the", "red", "rose", "and"] * 5] for k in range(20)]
    with pytest.raises((NonFiniteError, ChildProcessError)) as caught, tg.debug():
        SkipGram(**SMALL, sample=0, workers=2).fit(
            TEXT + rare, progress=False, callbacks=[lengthen])
    return caught.value


def test_an_error_in_a_worker_process_comes_out_of_fit_with_the_operation():
    errors = (error_of_a_long_vector(f"rare{k}") for k in range(20))
    theirs = next(e for e in errors if isinstance(e, ChildProcessError))  # others: this process's
    assert "NonFiniteError: matmul_t() gave" in str(theirs)
    assert "tiles.py, line" in str(theirs)
