"""Values and gradients of every operation, by this package and by four others, and who is right.

    python tests/benchmarks/differential.py [--op NAME] [--seeds N] [--all]

Each call of `testing/ops.py`, in double, single and mixed precision, and a list of edge cases
(kinks, ties, zeros, huge and subnormal numbers, dead branches) run through HIPS autograd, MyGrad,
JAX (with x64) and PyTorch, as far as they are installed (``pip install '.[bench]'``). The judge is
none of them: the complex step of NumPy's own function, differences in 1,500 digits by mpmath, the
sub-gradient inequality, or a slope that the case states. A table comes first, then each fault with
a line of Python that shows it. It takes some minutes.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import itertools
import operator
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

import tinygrad_w2v as tg
from tinygrad_w2v.testing import OpSpec
from tinygrad_w2v.testing.invariants import Call
from tinygrad_w2v.testing.ops import OPS

Function = Callable[..., Any]
Arrays = list[np.ndarray]
STEP = 1e-100                             # of the complex step
LIMIT = {"float64": 1e-10, "float32": 2e-5}
TINY = 1e-307                             # below, numbers have few digits or are flushed to 0


class NotOfferedError(AttributeError):
    """The package has no such operation, or no derivative of it."""


# ── the packages ──────────────────────────────────────────────────────────────────────────────────


class Names:
    """The operations of a package under NumPy's names: first those of a table, then a module's."""

    def __init__(self, module: Any, **table: Function | None):
        self._module, self._table = module, table

    def __getattr__(self, name: str) -> Any:
        found = self._table.get(name) or getattr(self._module, name, None)
        if found is None:
            raise NotOfferedError(name)
        return found


@dataclass(frozen=True)
class Package:
    """A package under test.

    `run(f, operands, u)` gives the value of f and the gradients of Σ u·f. `line` is the Python that
    does the same, with places for the expression `f` of the `names`, their values `xs`, and the
    cotangent `u`; `array` how an array is written, `prefix` and `spelled` how an operation is, and
    `added` what it must be told besides.
    """

    name: str
    ops: Names
    run: Callable[[Function, Arrays, np.ndarray], tuple[Any, Sequence[Any]]]
    line: str
    prefix: str
    spelled: dict[str, str] = field(default_factory=dict)
    array: str = "np.array({values}, {dtype!r})"
    added: dict[str, str] = field(default_factory=dict)


def lookup(x: Any, key: Any) -> Any:
    """Look up by brackets."""
    return x[key]


def bounded(clip: Function) -> Function:
    """A package's `clip`, its bounds in the order of NumPy's or called so."""
    return lambda x, low=None, high=None, a_min=None, a_max=None: clip(
        x, a_min if low is None else low, a_max if high is None else high)


def ours() -> Package:
    def run(f: Function, operands: Arrays, u: np.ndarray) -> tuple[Any, Sequence[Any]]:
        leaves = [tg.Tensor(a, requires_grad=True) for a in operands]
        out = f(*leaves)
        if out.requires_grad:
            out.backward(u)
        return out.data, [x.grad for x in leaves]

    return Package("ours", Names(tg), run, "tg.vjp(lambda {names}: {f}, {xs})[1]({u})", "tg.")


def hips() -> Package:
    anp = importlib.import_module("autograd.numpy")
    make_vjp = importlib.import_module("autograd.differential_operators").make_vjp
    special = importlib.import_module("autograd.scipy.special")

    def run(f: Function, operands: Arrays, u: np.ndarray) -> tuple[Any, Sequence[Any]]:
        grads, value = [], None
        for k in range(len(operands)):
            pull, value = make_vjp(f, k)(*operands)
            grads.append(pull(u.astype(np.asarray(value).dtype)[()]))
        return value, grads

    table = Names(anp, norm=anp.linalg.norm, sigmoid=special.expit, index=lookup,
                  logsumexp=special.logsumexp, astype=lambda x, dtype: x.astype(dtype),
                  broadcast_to=lambda x, shape: anp.broadcast_to(x, shape),
                  pad=lambda x, pad_width, mode="constant", **more: anp.pad(
                      x, pad_width, mode, **more))
    return Package("HIPS autograd", table, run,
                   "autograd.make_vjp(lambda {names}: {f}, {places})({xs})[0]({u})", "anp.",
                   {"norm": "linalg.norm", "sigmoid": "autograd.scipy.special.expit",
                    "logsumexp": "autograd.scipy.special.logsumexp"})


def mygrad() -> Package:
    mg = importlib.import_module("mygrad")
    nnet = importlib.import_module("mygrad.nnet.activations")

    def run(f: Function, operands: Arrays, u: np.ndarray) -> tuple[Any, Sequence[Any]]:
        leaves = [mg.tensor(a.copy()) for a in operands]
        out = f(*leaves)
        out.backward(u.astype(out.dtype))
        return out.data, [x.grad for x in leaves]

    table = Names(mg, norm=mg.linalg.norm, sigmoid=nnet.sigmoid, relu=nnet.relu, index=lookup,
                  leaky_relu=lambda x, slope=0.01: nnet.leaky_relu(x, slope),
                  softmax=lambda x, axis=-1: nnet.softmax(x, axis=axis),
                  log_softmax=lambda x, axis=-1: nnet.logsoftmax(x, axis=axis))
    return Package("MyGrad", table, run, "{names} = {xs}; ({f}).backward({u}); x.grad", "mg.",
                   {"norm": "linalg.norm", "log_softmax": "nnet.activations.logsoftmax",
                    **{name: f"nnet.activations.{name}"
                       for name in ("sigmoid", "relu", "leaky_relu", "softmax")}},
                   "mg.tensor({values}, dtype={dtype!r})")


def jax() -> Package:
    module = importlib.import_module("jax")
    module.config.update("jax_enable_x64", True)
    jnp, nn = module.numpy, module.nn

    def run(f: Function, operands: Arrays, u: np.ndarray) -> tuple[Any, Sequence[Any]]:
        value, pull = module.vjp(f, *[jnp.asarray(a) for a in operands])
        return value, pull(jnp.asarray(u, value.dtype))

    def scatter(x: Any, ids: Any, shape: Any, axis: int = 0) -> Any:
        whole = (shape, *x.shape[np.ndim(ids):]) if isinstance(shape, int) else shape
        where = (*[slice(None)] * axis, np.asarray(ids))
        return jnp.zeros(whole, x.dtype).at[where].add(x)

    def index(x: Any, key: Any) -> Any:
        keys = [np.asarray(k) if isinstance(k, list) else k
                for k in (key if isinstance(key, tuple) else [key])]
        return x[tuple(keys)]

    table = Names(
        jnp, norm=jnp.linalg.norm, relu=nn.relu, sigmoid=nn.sigmoid, softplus=nn.softplus,
        log_sigmoid=nn.log_sigmoid, softmax=nn.softmax, log_softmax=nn.log_softmax,
        logsumexp=nn.logsumexp, leaky_relu=lambda x, slope=0.01: nn.leaky_relu(x, slope),
        take=lambda x, ids, axis=0: jnp.take(x, np.asarray(ids, int), axis), scatter=scatter,
        astype=lambda x, dtype: x.astype(dtype), index=index,
        clip=bounded(jnp.clip), matmul_t=lambda x, y: x @ jnp.swapaxes(y, -1, -2))
    names = ("relu", "sigmoid", "softplus", "log_sigmoid", "softmax", "log_softmax", "logsumexp",
             "leaky_relu")
    return Package("JAX", table, run, "jax.vjp(lambda {names}: {f}, {xs})[1]({u})", "jnp.",
                   {"norm": "linalg.norm", **{name: f"jax.nn.{name}" for name in names}})


def torch() -> Package:
    t = importlib.import_module("torch")
    fn = t.nn.functional

    def run(f: Function, operands: Arrays, u: np.ndarray) -> tuple[Any, Sequence[Any]]:
        leaves = [t.tensor(a, requires_grad=True) for a in operands]
        out = f(*leaves)
        out.backward(t.tensor(u, dtype=out.dtype))
        return out.detach().numpy(), [x.grad if x.grad is None else x.grad.numpy() for x in leaves]

    def fixed(x: Any) -> Any:
        return t.as_tensor(x) if isinstance(x, np.ndarray | list) else x

    def over(op: Function) -> Function:
        """A reduction, with NumPy's idea of `axis`: None all of them, () none."""

        def reduced(x: Any, axis: Any = None, keepdims: bool = False, **more: Any) -> Any:
            if axis == ():
                raise NotOfferedError("torch takes () to mean all axes")
            axes = tuple(range(x.ndim)) if axis is None else axis
            return op(x, axes, keepdims, **more) if x.ndim else op(x[None], 0, False, **more)

        return reduced

    def prod(x: Any, axis: Any, keepdims: bool) -> Any:
        for one in sorted([a % x.ndim for a in np.ravel(axis).tolist()], reverse=True):
            x = t.prod(x, one, keepdims)
        return x

    def unsqueeze(x: Any, axis: Any) -> Any:
        ndim = x.ndim + np.size(axis)
        return reduce(t.unsqueeze, sorted(a % ndim for a in np.ravel(axis).tolist()), x)

    def take(x: Any, ids: Any, axis: int | None = 0) -> Any:
        x, axis = (x.reshape(-1), 0) if axis is None else (x, axis)
        ids = t.as_tensor(np.asarray(ids, int) % x.shape[axis])
        axis %= x.ndim
        rows = t.index_select(x, axis, ids.reshape(-1))
        return rows.reshape(*x.shape[:axis], *ids.shape, *x.shape[axis + 1:])

    def scatter(x: Any, ids: Any, shape: Any, axis: int = 0) -> Any:
        whole = (shape, *x.shape[np.ndim(ids):]) if isinstance(shape, int) else shape
        flat = t.as_tensor(np.asarray(ids, int).reshape(-1) % whole[axis])
        rows = x.reshape(*whole[:axis], len(flat), *whole[axis + 1:])
        return t.zeros(whole, dtype=x.dtype).index_add(axis, flat, rows)

    def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: float = 0) -> Any:
        if mode != "constant":
            raise NotOfferedError("modes of its own")
        widths = np.broadcast_to(pad_width, (x.ndim, 2))[::-1].reshape(-1).tolist()
        return fn.pad(x, widths, value=constant_values)

    def dot(x: Any, y: Any) -> Any:
        if not 0 < min(x.ndim, y.ndim) <= max(x.ndim, y.ndim) < 3:
            raise NotOfferedError("of numbers, or of more than two axes")
        return t.matmul(x, y)

    def concatenate(parts: Sequence[Any], axis: int | None = 0) -> Any:
        return t.cat([p.reshape(-1) for p in parts], 0) if axis is None else t.cat(parts, axis)

    table = Names(
        t, power=lambda x, y: t.pow(x, fixed(y)), norm=over(
            lambda x, axis, keepdims, ord=None: t.linalg.vector_norm(
                x, 2 if ord is None else ord, axis, keepdims)),
        sum=over(t.sum), mean=over(t.mean), max=over(t.amax), min=over(t.amin), prod=over(prod),
        var=over(lambda x, axis, keepdims, ddof=0: t.var(x, axis, correction=ddof,
                                                         keepdim=keepdims)),
        std=over(lambda x, axis, keepdims, ddof=0: t.std(x, axis, correction=ddof,
                                                         keepdim=keepdims)),
        logsumexp=over(t.logsumexp), where=lambda c, x, y: t.where(fixed(np.asarray(c)), x, y),
        cumsum=lambda x, axis=None: t.cumsum(x.reshape(-1) if axis is None else x, axis or 0),
        cumprod=lambda x, axis=None: t.cumprod(x.reshape(-1) if axis is None else x, axis or 0),
        relu=fn.relu, leaky_relu=lambda x, slope=0.01: fn.leaky_relu(x, slope), sigmoid=t.sigmoid,
        log_sigmoid=fn.logsigmoid, softplus=fn.softplus,
        softmax=lambda x, axis=-1: t.softmax(x, axis),
        log_softmax=lambda x, axis=-1: t.log_softmax(x, axis), matmul_t=lambda x, y: x @ y.mT,
        dot=dot,
        outer=lambda x, y: t.outer(x.reshape(-1), y.reshape(-1)), take=take, clip=bounded(t.clip),
        tensordot=lambda x, y, axes=2: t.tensordot(x, y, axes if isinstance(axes, int) else [
            np.ravel(a).tolist() for a in axes]),
        index=lambda x, key: x[tuple(map(fixed, key)) if isinstance(key, tuple) else fixed(key)],
        reshape=lambda x, shape: t.reshape(x, shape if isinstance(shape, tuple) else (shape,)),
        transpose=lambda x, axes=None: x.permute(tuple(axes or range(x.ndim)[::-1])),
        swapaxes=lambda x, axis1, axis2: t.swapaxes(x, axis1, axis2),
        broadcast_to=lambda x, shape: t.broadcast_to(x, shape),
        squeeze=lambda x, axis=None: t.squeeze(x) if axis is None else t.squeeze(x, axis),
        expand_dims=unsqueeze, concatenate=concatenate, scatter=scatter, pad=pad,
        split=lambda x, cut, axis=0: t.tensor_split(x, cut, axis),
        flip=lambda x, axis=None: t.flip(x, tuple(np.ravel(range(x.ndim) if axis is None else axis)
                                                  .tolist())),
        astype=lambda x, dtype: x.to(getattr(t, np.dtype(dtype).name)))
    spelled = {"power": "pow", "max": "amax", "min": "amin", "concatenate": "cat",
               "norm": "linalg.vector_norm", "dot": "matmul", "transpose": "permute",
               "expand_dims": "unsqueeze",
               **{name: f"nn.functional.{name}" for name in ("relu", "leaky_relu", "softplus")},
               "log_sigmoid": "nn.functional.logsigmoid"}
    return Package("PyTorch", table, run,
                   "torch.autograd.functional.vjp(lambda {names}: {f}, ({xs}), {u})[1]", "torch.",
                   spelled, "torch.tensor({values}, dtype=torch.{dtype})",
                   {"std": "correction=0", "var": "correction=0", "softmax": "dim=-1",
                    "log_softmax": "dim=-1", "logsumexp": "dim=0"})


PEERS = {"HIPS autograd": (hips, "autograd"), "MyGrad": (mygrad, "mygrad"), "JAX": (jax, "jax"),
         "PyTorch": (torch, "torch")}


def installed() -> tuple[list[Package], list[str]]:
    """The packages that are there, this one first, and what to say of each."""
    found, remarks = [ours()], [f"ours {tg.__version__}, NumPy {np.__version__}"]
    for name, (make, distribution) in PEERS.items():
        try:
            found.append(make())
            remarks.append(f"{name} {importlib.metadata.version(distribution)}")
        except ImportError as error:
            remarks.append(f"{name} left out ({error})")
    if importlib.util.find_spec("mpmath") is None:
        remarks.append("huge and tiny numbers left out (No module named 'mpmath')")
    return found, remarks


# ── cases ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Case:
    """One comparison: a program at operands, and what it must give.

    `program(ops)` makes a function of the operands from the operations of a package; `text` is the
    same to read. `value` is what f gives, `low` and `high` bound the gradient by each operand: they
    are equal but where several slopes are right. Where the bounds do not say it all, `admits` asks
    more. `by_size`: errors are relative to the largest number of an array, not to each.
    """

    op: str
    text: str
    program: Callable[[Any], Function]
    operands: Arrays
    u: np.ndarray
    value: np.ndarray
    low: Arrays
    high: Arrays
    admits: Callable[[Sequence[np.ndarray]], bool] | None = None
    by_size: bool = False

    @property
    def one_is_right(self) -> bool:
        """Whether there is but one right gradient."""
        return all(np.array_equal(a, b) for a, b in zip(self.low, self.high, strict=True))


SYMBOLS = "xyzw"
# NumPy's functions that are not analytic for complex numbers, written so that they are.
ANALYTIC: dict[str, Function] = {
    "var": lambda x, axis=None, ddof=0, keepdims=False: np.sum(
        (x - np.mean(x, axis=axis, keepdims=True))**2, axis=axis, keepdims=keepdims)
        / (np.size(x) / np.size(np.sum(x, axis=axis)) - ddof),
    "std": lambda x, **keywords: np.sqrt(ANALYTIC["var"](x, **keywords)),
    "norm": lambda x, ord=None, axis=None, keepdims=False: np.sqrt(
        np.sum(x * x, axis=axis, keepdims=keepdims)),
}


def complex_step(f: Function, operands: Arrays, u: np.ndarray) -> Arrays:
    """The gradients of Σ u·f, f plain NumPy and analytic: Im f(x + ih) / h."""
    slopes = [np.zeros(a.shape) for a in operands]
    for k, slope in enumerate(slopes):
        for place in np.ndindex(slope.shape):
            moved = [a.astype(complex) for a in operands]
            moved[k][place] += 1j * STEP
            slope[place] = np.sum(u * np.imag(f(*moved))) / STEP
    return slopes


def written(spec: OpSpec, call: Call) -> str:
    """The call as Python: ``o.sum(x, axis=0)``."""
    name = f"o.{spec.name.split()[0]}"

    def spell(*args: Any, **keywords: Any) -> str:
        def plain(a: Any) -> str:
            if isinstance(a, list) and a and all(s in [*SYMBOLS] for s in a if isinstance(s, str)):
                return f"[{', '.join(map(plain, a))}]"
            return a if isinstance(a, str) and a in [*SYMBOLS] else number(a)

        given = [*map(plain, args), *[f"{k}={number(v)}" for k, v in keywords.items()]]
        return f"{name}({', '.join(given)})"

    symbols = SYMBOLS[: len(call.shapes)]
    if spec.name == "index":
        return f"x[{number(call.keywords['key'])}]"
    if spec.name == "split":
        axis, given = call.keywords.get("axis", 0), ", ".join(map(number, call.keywords.values()))
        return f"o.concatenate([p * (k + 2.0) for k, p in enumerate(o.split(x, {given}))], {axis})"
    return spec.bind(call, spell)(*symbols)


def number(a: Any) -> str:
    """An argument as Python, to the last digit, on one line."""
    if isinstance(a, np.ndarray | np.generic):
        kind = "" if a.dtype in (float, int, bool) else f", np.{a.dtype}"
        listed = re.sub(r"\b(inf|nan)\b", r"np.\1", str(a.tolist()))
        return f"np.array({listed}{kind})"
    return re.sub(r"<class 'numpy\.(\w+)'>|\b(inf)\b", r"np.\1\2", repr(a))


def called(spec: OpSpec, call: Call) -> Callable[[Any], Function]:
    """The program that makes the call with a package's operation."""
    name = spec.name.split()[0]
    if name == "split":  # a list: its parts are weighed and joined
        axis = call.keywords.get("axis", 0)
        return lambda o: lambda x: o.concatenate([part * (k + 2.0) for k, part in enumerate(
            o.split(x, *call.keywords.values()))], axis)
    return lambda o: spec.bind(call, getattr(o, name))


PRECISIONS = ("d", "f", "fd", "df")  # of the operands, in turn: double, single, mixed


def smooth(spec: OpSpec, seed: int) -> Iterator[Case]:
    """The calls of a row of the registry, away from kinks, judged by the complex step."""
    name = spec.name.split()[0]
    twin = spec.analytic or ANALYTIC.get(name) or spec.value
    if spec.order < 2 and name in ("std", "norm"):  # of one number: |x|, or 0
        return
    for kinds, call in itertools.product(PRECISIONS, spec.calls):
        if len(call.shapes) < len(set(kinds)):
            continue
        rng = np.random.default_rng([seed, *map(ord, name)])
        exact = spec.draw(call, rng, np.float32)  # the same in double precision
        drawn = [a.astype(kind) for a, kind in zip(exact, itertools.cycle(kinds), strict=False)]
        exact = [a.astype(float) for a in drawn]
        value = np.asarray(spec.bind(call, spec.value)(*exact))
        u = np.asarray(rng.integers(17, 56, value.shape) / 64 * rng.choice([-1, 1], value.shape))
        slopes = complex_step(spec.bind(call, twin), exact, u)
        yield Case(name, written(spec, call), called(spec, call), drawn, u, value, slopes, slopes,
                   by_size=True)


def kinks(spec: OpSpec, seed: int) -> Iterator[Case]:
    """A convex row at its kinks and at ties: right is whatever is a sub-gradient."""
    if not (spec.convex and spec.kinks):
        return
    name = spec.name.split()[0]
    for call in spec.calls:
        rng = np.random.default_rng([seed, *map(ord, name)])
        f = spec.bind(call, spec.value)
        for pool in (spec.kinks, [*spec.kinks, -2.0, 2.0]):
            x = [np.asarray(rng.choice(pool, shape), float) for shape in call.shapes]
            value = np.asarray(f(*x))
            u = np.asarray(rng.integers(1, 8, value.shape) / 8)

            def admits(slopes: Sequence[np.ndarray], x: Arrays = x, u: np.ndarray = u,
                       value: np.ndarray = value, f: Function = f) -> bool:
                for k, a in enumerate(x):
                    for place, step in itertools.product(np.ndindex(a.shape), (-0.5, 0.5)):
                        y = [b.copy() for b in x]
                        y[k][place] += step
                        rise = np.sum(spec.convex * u * (f(*y) - value))
                        if not rise >= spec.convex * slopes[k][place] * step - 1e-12:
                            return False
                return True

            ends = [np.full(a.shape, np.inf) for a in x]
            yield Case(name, written(spec, call), called(spec, call), x, u, value,
                       [-e for e in ends], ends, admits)


# ── edges ─────────────────────────────────────────────────────────────────────────────────────────

INF, NAN = np.inf, np.nan
SIZES = [5e-324, 1e-310, 1e-300, 1e-200, 1e-160, 1e-100, 1e-20, 1e-16, 1e-9, 1e-8, 1e-5, 0.01, 0.3,
         1.0, 1.5, 5.0, 10.5, 17.0, 20.5, 30.0, 36.0, 37.5, 40.0, 100.0, 350.0, 700.0, 709.5, 720.0,
         745.0, 1000.0, 1e5, 1e10, 1e16, 1e100, 1e155, 1e200, 1e300, 1e308]
EVERYWHERE = [s * x for x in SIZES for s in (1, -1)]
ABOVE = SIZES
NEAR_1 = [1e-310, 1e-200, 1e-16, 1e-9, 0.3, 0.99, 1 - 1e-9, 1 - 2**-53]
INSIDE = [s * x for x in NEAR_1 for s in (1, -1)]
BELOW_MINUS_1 = [s * x for x in SIZES for s in (1, -1) if s * x > -1] + [-1 + 2**-52, -0.99]
MODEST = [x for x in EVERYWHERE if np.abs(x) <= 1e16]
ROWS = [[1.0, 2.0, 3.0], [1000.0, 0.0, -1000.0], [1e10, 1e10 + 1, 1e10 - 2], [1e-20, -1e-20, 0.0],
        [-1e10, 1e10, 0.0], [740.0, -3.0, 741.5], [1e308, -1e308, 1.0], [1e16, 1e16 + 2, 5.0],
        [30.0, 0.0, 0.0], [40.0, -40.0, 0.0]]
LENGTHS = [[3.0, 4.0], [1e-200, 1e-200], [3e200, 4e200], [1e-310, 2e-310], [1e-160, 3e-160],
           [1e-8, 1e8], [1e154, 1e154], [0.0, 1e-300]]
CLOSE = [[1.0, 2.0, 4.0], [1e8, 1e8 + 1, 1e8 + 3], [1e16, 1e16 + 2, 1e16 + 6],
         [1e-200, 2e-200, 0.0], [1e200, 2e200, 5e200], [1.0, 1.0 + 2**-52, 1.0],
         [1e-5, 2e-5, -4e-5]]
PAIRS = [[1.5, 2.0], [1e-200, 3.0], [1e200, 1e-200], [1e-310, 1e-5], [1e150, 1e155], [3.0, 1e-300],
         [1e308, 0.5], [2.0, -1000.0], [1e-320, 0.5], [0.5, 1e10], [1.0, 1e300], [7.0, -0.5]]


def high_precision() -> dict[str, tuple[str, Function, list[Any]]]:
    """Programs in mpmath, and where to try them: a number at a time, or a row."""
    mp = importlib.import_module("mpmath").mp
    mp.dps = 1500

    def logsumexp(*x: Any) -> Any:
        return mp.log(sum(map(mp.exp, x)))

    def std(*x: Any) -> Any:
        return mp.sqrt(var(*x))

    def var(*x: Any) -> Any:
        return sum((a - sum(x) / len(x))**2 for a in x) / len(x)

    one = {name: (f"o.{name}(x)", getattr(mp, twin), where) for name, twin, where in (
        ("exp", "exp", MODEST), ("expm1", "expm1", MODEST), ("log", "log", ABOVE),
        ("log1p", "log1p", BELOW_MINUS_1), ("log10", "log10", ABOVE), ("sqrt", "sqrt", ABOVE),
        ("sin", "sin", EVERYWHERE), ("cos", "cos", EVERYWHERE), ("tan", "tan", EVERYWHERE),
        ("arcsin", "asin", INSIDE), ("arccos", "acos", INSIDE), ("arctan", "atan", EVERYWHERE),
        ("sinh", "sinh", MODEST), ("cosh", "cosh", MODEST), ("tanh", "tanh", MODEST))}
    return {
        **one,
        "log2": ("o.log2(x)", lambda x: mp.log(x, 2), ABOVE),
        "square": ("o.square(x)", lambda x: x * x, EVERYWHERE),
        "reciprocal": ("o.reciprocal(x)", lambda x: 1 / x, EVERYWHERE),
        "abs": ("o.abs(x)", mp.fabs, EVERYWHERE),
        "relu": ("o.relu(x)", lambda x: max(x, mp.zero), EVERYWHERE),
        "sigmoid": ("o.sigmoid(x)", lambda x: 1 / (1 + mp.exp(-x)), MODEST),
        "log_sigmoid": ("o.log_sigmoid(x)", lambda x: -mp.log1p(mp.exp(-x)), MODEST),
        "softplus": ("o.softplus(x)", lambda x: mp.log1p(mp.exp(x)), MODEST),
        "power 0": ("o.power(x, 0)", lambda x: mp.one, EVERYWHERE),
        "power 2": ("o.power(x, 2)", lambda x: x * x, EVERYWHERE),
        "power -1.5": ("o.power(x, -1.5)", lambda x: x**mp.mpf(-1.5), ABOVE),
        "power xy": ("o.power(x[0], x[1])", lambda x, y: x**y, PAIRS),
        "divide": ("o.divide(x[0], x[1])", lambda x, y: x / y, PAIRS),
        "multiply": ("o.multiply(x[0], x[1])", lambda x, y: x * y, PAIRS),
        "logaddexp": ("o.logaddexp(x[0], x[1])", lambda x, y: logsumexp(x, y),
                      [r[:2] for r in ROWS]),
        "logsumexp": ("o.logsumexp(x)", logsumexp, ROWS),
        "softmax": ("o.softmax(x)[0]", lambda *x: mp.exp(x[0] - logsumexp(*x)), ROWS),
        "log_softmax": ("o.log_softmax(x)[0]", lambda *x: x[0] - logsumexp(*x), ROWS),
        "norm": ("o.norm(x)", lambda *x: mp.sqrt(sum(a * a for a in x)), LENGTHS),
        "var": ("o.var(x)", var, CLOSE),
        "std": ("o.std(x)", std, CLOSE),
        "mean": ("o.mean(x)", lambda *x: sum(x) / len(x), [*CLOSE, [1e308, 1e308]]),
        "prod": ("o.prod(x)", lambda *x: reduce(operator.mul, x), [
            [0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [1e200, 1e200, 1e-300], [1e-200, 1e-200, 1e300],
            [-0.0, 5.0, 7.0], [1e155, 1e155, 0.0]]),
        "cumprod": ("o.cumprod(x)[2]", lambda *x: reduce(operator.mul, x[:3]), [
            [0.0, 2.0, 3.0, 4.0], [2.0, 0.0, 0.0, 4.0]]),
    }


def mp_case(op: str, text: str, exact: Function, x: np.ndarray, rows: bool) -> Case:
    """A case whose truth are mpmath's value and central difference, in 1,500 digits."""
    mpf = importlib.import_module("mpmath").mpf
    step = mpf(10)**-450

    def slope(point: list[Any], k: int) -> float:
        ahead, behind = ([a + s * (j == k) for j, a in enumerate(point)] for s in (step, -step))
        return rounded((exact(*ahead) - exact(*behind)) / (2 * step))

    points = [[mpf(a) for a in x]] if rows else [[mpf(a)] for a in x]
    value = np.array([rounded(exact(*p)) for p in points])
    slopes = np.array([slope(p, k) for p in points for k in range(len(p))])
    return Case(op, text, reading(text, "x"), [x], np.ones(() if rows else x.shape),
                value[0] if rows else value, [slopes], [slopes])


def rounded(x: Any) -> float:
    """The double nearest to an mpmath number: ±inf if it is too large."""
    try:
        return float(x)
    except OverflowError:
        return INF if x > 0 else -INF


def reading(text: str, names: str) -> Callable[[Any], Function]:
    """The program that `text` is, for the operations ``o`` of any package."""
    return lambda o: eval(f"lambda {', '.join(names)}: {text}", {"o": o, "np": np})


def precise() -> Iterator[Case]:
    """Huge, tiny and subnormal numbers, if mpmath is there to judge."""
    if importlib.util.find_spec("mpmath") is None:
        return
    for op, (text, exact, points) in high_precision().items():
        if isinstance(points[0], list):
            for row in points:
                yield mp_case(op.split()[0], text, exact, np.array(row), True)
        else:
            yield mp_case(op.split()[0], text, exact, np.array(points), False)


# What is stated: a program, its operands, the gradients, and the value if NumPy is not to say it.
# Gradients are (low, high) where any between is right.
F32 = np.float32
STATED: list[tuple[Any, ...]] = [
    ("clip", "o.clip(x, -1, 1)", [[-2.0, -1.0, 0.0, 1.0, 2.0]],
     [([0, 0, 1, 0, 0], [0, 1, 1, 1, 0])]),
    ("clip", "o.clip(x, -1, 1)", [[-INF, INF, -0.0]], [[0, 0, 1]]),
    ("sqrt", "o.sqrt(x)", [[0.0]], [[INF]]),
    ("sqrt", "o.sqrt(x)", [[-0.0]], [[INF]]),
    ("log", "o.log(x)", [[0.0]], [[INF]]),
    ("power", "o.power(x, 0)", [[0.0, 3.0, -2.0, -0.0]], [[0, 0, 0, 0]]),
    ("power", "o.power(x, 0.0)", [[0.0, 3.0]], [[0, 0]]),
    ("power", "o.power(x, 1)", [[0.0, 3.0, -2.0]], [[1, 1, 1]]),
    ("power", "o.power(x, 2)", [[0.0, -3.0]], [[0, -6]]),
    ("power", "o.power(x, 3)", [[0.0, -3.0]], [[0, 27]]),
    ("power", "o.power(x, -1)", [[-3.0]], [[-1 / 9]]),
    ("power", "o.power(x, y)", [[0.0], [2.0]], [[0], [0]]),
    ("power", "o.power(0.0, x)", [[2.0, 0.5]], [[0, 0]]),
    ("power", "o.power(2, x)", [[1.5, 0.0]], [[2**1.5 * np.log(2), np.log(2)]]),
    ("power", "o.power(np.array([2, 3]), x)", [[1.5, 2.5]],
     [[2**1.5 * np.log(2), 3**2.5 * np.log(3)]]),
    ("power", "o.power(np.array([2, 3], np.int8), x)", [[1.5, 2.5]],
     [[2**1.5 * np.log(2), 3**2.5 * np.log(3)]]),
    ("power", "o.power(np.array([2, 3], np.float32), x)", [[1.5, 2.5]],
     [[2**1.5 * np.log(2), 3**2.5 * np.log(3)]]),
    ("power", "o.power(x, y)", [F32([2, 3]), [1.5, 2.5]],
     [F32([1.5 * 2**0.5, 2.5 * 3**1.5]), [2**1.5 * np.log(2), 3**2.5 * np.log(3)]]),
    ("maximum", "o.maximum(x, y)", [[1.0, -0.0], [1.0, 0.0]], [([0, 0], [1, 1])] * 2),
    ("maximum", "o.maximum(x, x)", [[1.0, -0.0]], [[1, 1]]),
    ("maximum", "o.maximum(x, y)", [[INF, -INF], [1.0, 1.0]], [[1, 0], [0, 1]]),
    ("maximum", "o.maximum(x, 0.0)", [[-1.0, 0.0, 2.0]], [([0, 0, 1], [0, 1, 1])]),
    ("max", "o.max(x)", [[3.0, 1.0, 3.0, 3.0]], [([0, 0, 0, 0], [1, 0, 1, 1])]),
    ("max", "o.max(x, axis=-1)", [[[-0.0, 0.0], [1.0, 1.0]]], [([[0, 0]] * 2, [[1, 1]] * 2)]),
    ("max", "o.max(x)", [[-INF, 2.0]], [[0, 1]]),
    ("abs", "o.abs(x)", [[-0.0, 0.0, -2.0]], [([-1, -1, -1], [1, 1, -1])]),
    ("relu", "o.relu(x)", [[-0.0, 0.0, -INF, INF]], [([0, 0, 0, 1], [1, 1, 0, 1])]),
    ("leaky_relu", "o.leaky_relu(x, 0.25)", [[0.0, -INF]], [([0.25, 0.25], [1, 0.25])]),
    ("leaky_relu", "o.leaky_relu(x, -0.5)", [[1.0, -1.0]], [[1, -0.5]]),
    ("norm", "o.norm(x)", [[0.0, 0.0]], [([-1, -1], [1, 1])]),
    ("norm", "o.norm(x, axis=1)", [[[0.0, 0.0], [3.0, 4.0]]],
     [([[-1, -1], [0.6, 0.8]], [[1, 1], [0.6, 0.8]])]),
    ("norm", "o.norm(x, ord=1, axis=0)", [[0.0, -2.0]], [([-1, -1], [1, -1])]),
    ("norm", "o.norm(x, ord=np.inf, axis=0)", [[2.0, -2.0]], [([0, -1], [1, 0])]),
    ("std", "o.std(x)", [[4.0, 4.0, 4.0]], [([-0.5] * 3, [0.5] * 3)]),
    ("std", "o.std(x)", [[0.1] * 7], [([-0.36] * 7, [0.36] * 7)], 0.0),
    ("std", "o.std(x, axis=-1)", [[[1.0, 1.0], [0.0, 2.0]]],
     [([[-0.5, -0.5], [-0.5, 0.5]], [[0.5, 0.5], [-0.5, 0.5]])]),
    ("var", "o.var(x)", [[0.1] * 7], [[0.0] * 7], 0.0),
    ("var", "o.var(x, axis=0)", [np.zeros((0, 3))], [np.zeros((0, 3))]),
    ("std", "o.std(x, axis=0)", [np.zeros((0, 3))], [np.zeros((0, 3))]),
    ("mean", "o.mean(x, axis=0)", [np.zeros((0, 3))], [np.zeros((0, 3))]),
    ("norm", "o.norm(x, axis=0)", [np.zeros((0, 3))], [np.zeros((0, 3))]),
    ("logsumexp", "o.logsumexp(x, axis=0)", [np.zeros((0, 3))], [np.zeros((0, 3))]),
    ("logsumexp", "o.logsumexp(x)", [[-INF, -INF]], [([0, 0], [1, 1])]),
    ("logaddexp", "o.logaddexp(x, y)", [[-INF], [-INF]], [([0], [1])] * 2),
    ("logaddexp", "o.logaddexp(x, y)", [[INF], [0.0]], [[1], [0]]),
    ("power", "o.power(x, 0.5)", [[0.0]], [[INF]]),
    ("where", "o.where(x > 1, o.sqrt(x - 1), x)", [[0.0, 1.0, 2.0]], [[1, 1, 0.5]]),
    ("where", "o.where(x > 0, o.log(x), x * 0.0)", [[0.0, -1.0, 2.0]], [[0, 0, 0.5]]),
    ("where", "o.where(x > 0, 1 / x, x)", [[0.0, 2.0]], [[1, -0.25]]),
    ("where", "o.where(x < 700, o.exp(x), x)", [[1.0, 1000.0]], [[np.e, 1]]),
    ("where", "o.where(x < 1, o.arccos(x), x)", [[2.0, 1.0]], [[1, 1]]),
    ("where", "o.where(x != 0, x / x, x)", [[0.0, 2.0]], [[1, 0]]),
    ("where", "o.where(x > 0, o.power(x, 0.5), 0 * x)", [[0.0, 4.0]], [[0, 0.25]]),
    ("multiply", "o.sqrt(x) * 0.0", [[0.0, 4.0]], [[0, 0]]),
    ("prod", "o.prod(x)", [[0.0, 2.0, 3.0]], [[6, 0, 0]]),
    ("prod", "o.prod(x)", [[0.0, 2.0, 0.0]], [[0, 0, 0]]),
    ("prod", "o.prod(x, axis=-1)", [[[0.0, 2.0], [3.0, -0.0]]], [[[2, 0], [0, 3]]]),
    ("prod", "o.prod(x)", [np.zeros(0)], [[]]),
    ("cumprod", "o.cumprod(x, axis=0)[2]", [[0.0, 2.0, 3.0]], [[6, 0, 0]]),
    ("take", "o.take(x, np.array([0, 1, 0]), axis=0)", [[5.0, 7.0]], [[2, 1]]),
    ("take", "o.take(x, np.array([-1, 1, -2]), axis=-1)", [[[5.0, 7.0]]], [[[1, 2]]]),
    ("index", "x[np.array([0, 1, 0])]", [[5.0, 7.0]], [[2, 1]]),
    ("index", "x[[-1, 1, -2]]", [[5.0, 7.0]], [[1, 2]]),
    ("index", "x[np.array([0, 0]), np.array([1, 1])]", [[[5.0, 7.0]]], [[[0, 2]]]),
    ("index", "x[:0]", [[5.0, 7.0]], [[0, 0]]),
    ("index", "x[np.array([], int)]", [[5.0, 7.0]], [[0, 0]]),
    ("index", "x[np.array([False, False])]", [[5.0, 7.0]], [[0, 0]]),
    ("index", "x[::-1]", [F32([5, 7])], [F32([1, 1])]),
    ("add", "x + y", [[[1.0], [2.0]], [1.0, 2.0, 3.0]], [[[3], [3]], [2, 2, 2]]),
    ("add", "x + y", [F32([[1], [2]]), [1.0, 2.0, 3.0]], [F32([[3], [3]]), [2, 2, 2]]),
    ("add", "x + y", [np.zeros((0, 3)), [[1.0]]], [np.zeros((0, 3)), [[0]]]),
    ("multiply", "x * y", [F32(2), [1.0, 2.0]], [F32(3), [2, 2]]),
    ("multiply", "x * 2.5", [F32([2, 3])], [F32([2.5, 2.5])]),
    ("multiply", "x * np.array([1, 2])", [F32([2, 3])], [F32([1, 2])]),
    ("multiply", "x * np.array([1, 2], np.uint8)", [[2.0, 3.0]], [[1, 2]]),
    ("subtract", "x - np.array([1, 2], np.uint8)", [[0.0, 3.0]], [[1, 1]]),
    ("divide", "np.array([1, 2]) / x", [[2.0, 4.0]], [[-0.25, -0.125]]),
    ("matmul", "x @ y", [F32([[1, 2]]), [[1.0], [3.0]]], [F32([[1, 3]]), [[1], [2]]]),
    ("matmul", "x @ y", [np.zeros((2, 0)), np.zeros((0, 3))], [np.zeros((2, 0)), np.zeros((0, 3))]),
    ("einsum", "o.einsum('ij,ij->ij', x, y)", [[[2.0], [3.0]], np.ones((2, 3))],
     [[[3], [3]], [[2] * 3, [3] * 3]]),
    ("einsum", "o.einsum('ij,j->i', x, y)", [[[2.0], [3.0]], [1.0, 2.0, 4.0]],
     [[[7], [7]], [5, 5, 5]]),
    ("einsum", "o.einsum('i,i', x, y)", [[2.0], [1.0, 2.0]], [[3], [2, 2]]),
    ("einsum", "o.einsum('...i,...i->...', x, y)", [np.ones((2, 1, 3)), np.ones((4, 3))],
     [np.full((2, 1, 3), 4.0), np.full((4, 3), 2.0)]),
    ("einsum", "o.einsum('ii->i', x)", [np.ones((2, 2))], [np.eye(2)]),
    ("einsum", "o.einsum('i->', x)", [np.zeros(0)], [[]]),
    ("sum", "o.sum(x, axis=-2)", [np.zeros((0, 3))], [np.zeros((0, 3))]),
    ("sum", "o.sum(x, axis=(0, -1), keepdims=True)", [np.ones((2, 3))], [np.ones((2, 3))]),
    ("mean", "o.mean(x, axis=-1)", [F32([[1, 2, 4]])], [F32([[1 / 3] * 3])]),
    ("var", "o.var(x)", [F32([1, 2, 6])], [F32([-4 / 3, -2 / 3, 2])]),
    ("softmax", "o.softmax(x)[1]", [[-INF, 0.0, 0.0]], [[0, 0.25, -0.25]]),
    ("log_softmax", "o.log_softmax(x)[1]", [[-INF, 0.0, 0.0]], [[0, 0.5, -0.5]]),
    ("logsumexp", "o.logsumexp(x)", [[-INF, 0.0]], [[0, 1]]),
    ("logsumexp", "o.logsumexp(x, axis=-1)", [[[-1000.0, -1000.0], [1000.0, 1000.0]]],
     [[[0.5, 0.5], [0.5, 0.5]]]),
    ("logaddexp", "o.logaddexp(x, y)", [[1000.0, -1000.0, -INF], [1000.0, -1000.0, 0.0]],
     [[0.5, 0.5, 0], [0.5, 0.5, 1]]),
    ("softmax", "o.softmax(x)", [np.zeros((3, 0))], [np.zeros((3, 0))]),
    ("tanh", "o.tanh(x)", [[INF, -INF]], [[0, 0]]),
    ("sigmoid", "o.sigmoid(x)", [[INF, -INF]], [[0, 0]]),
    ("softplus", "o.softplus(x)", [[INF, -INF]], [[1, 0]]),
    ("log_sigmoid", "o.log_sigmoid(x)", [[INF, -INF]], [[0, 1]]),
    ("exp", "o.exp(x)", [[-INF]], [[0]]),
    ("arctan", "o.arctan(x)", [[INF, -INF]], [[0, 0]]),
    ("sigmoid", "o.sigmoid(x)", [F32([-100, -88, 0, 50, 88])],
     [F32([3.7835e-44, 6.0546e-39, 0.25, 1.9287498e-22, 6.0546e-39])]),
    ("softplus", "o.softplus(x)", [F32([-100, 0, 50])], [F32([3.7835e-44, 0.5, 1])]),
    ("log_softmax", "o.log_softmax(x)[0]", [F32([0, 100])], [F32([1, -1])]),
    ("transpose", "o.transpose(x, (-1, 0, 1))", [np.ones((2, 0, 3))], [np.ones((2, 0, 3))]),
    ("concatenate", "o.concatenate([x, y], axis=-1)", [F32([1]), [2.0, 3.0]], [F32([1]), [1, 1]]),
    ("cumsum", "o.cumsum(x, axis=-1)", [F32([[1, 2, 3]])], [F32([[3, 2, 1]])]),
]


def stated() -> Iterator[Case]:
    """The cases of `STATED`, their values by NumPy where it has the operation."""
    logsumexp = np.logaddexp.reduce
    known = Names(np, **{
        **{spec.name: spec.value for spec in reversed(OPS) if " " not in spec.name},
        "norm": np.linalg.norm, "take": np.take, "einsum": np.einsum, "power": np.power,
        "logsumexp": lambda x, axis=0: logsumexp(x, axis),
        "softplus": lambda x: np.logaddexp(x, 0), "log_sigmoid": lambda x: -np.logaddexp(-x, 0),
        "sigmoid": lambda x: np.exp(-np.logaddexp(-x, 0)),
        "log_softmax": lambda x: x - logsumexp(x),
        "softmax": lambda x: np.exp(x - logsumexp(x, -1, keepdims=True))})
    for op, text, operands, slopes, *values in STATED:
        arrays = [np.asarray(a) for a in operands]
        program = reading(text, SYMBOLS[: len(arrays)])
        value = np.asarray(values[0] if values else program(known)(*arrays))
        bounds = [s if isinstance(s, tuple) else (s, s) for s in slopes]
        low, high = ([np.asarray(b[end], float) for b in bounds] for end in (0, 1))
        yield Case(op, text, program, arrays, np.ones(value.shape), value, low, high)


# ── judging ───────────────────────────────────────────────────────────────────────────────────────


def close(a: np.ndarray, low: np.ndarray, high: np.ndarray, case: Case, limit: float) -> Any:
    """Where `a` lies between the bounds, or next to them; anything will do where truth is nan."""
    size = np.maximum(np.abs(low), np.abs(high))
    size = np.max(size, initial=0) if case.by_size else size
    slack = limit * np.where(np.isfinite(size), size, 0) + (0 if case.by_size else TINY)
    return (low - slack <= a) & (a <= high + slack) | (np.isnan(low) & np.isnan(a))


def disagreement(a: np.ndarray, b: np.ndarray, case: Case) -> float:
    """The largest difference, relative to the larger number (or the largest of the array)."""
    with np.errstate(all="ignore"):
        off = np.asarray(np.abs(a.astype(float) - b))
        off[off <= TINY] = 0
        size = np.maximum(np.abs(a), np.abs(b))
        off = off / (np.max(size, initial=0) if case.by_size else size)
    return float(np.max(off[np.isfinite(off)], initial=0))


def precision(case: Case) -> float:
    """What may be asked of all: by the least precise of the operands."""
    return max(LIMIT[a.dtype.name] for a in case.operands)


def faults(case: Case, value: np.ndarray, slopes: Sequence[np.ndarray]) -> Iterator[str]:
    """Say what is wrong with an outcome."""
    if value.shape != case.value.shape:
        yield f"value of shape {value.shape}, not {case.value.shape}"
        return
    limit = min(LIMIT[a.dtype.name] for a in case.operands)
    if not np.all(close(value, case.value, case.value, case, limit)):
        yield f"value {told(value, case.value, case.value, case, limit)}"
    for s, x, low, high in zip(slopes, case.operands, case.low, case.high, strict=True):
        limit = LIMIT[x.dtype.name]
        if s.shape != x.shape:
            yield f"gradient of shape {s.shape} for an operand of shape {x.shape}"
        elif not np.all(close(s, low, high, case, limit)):
            yield told(s, low, high, case, limit)
        if s.dtype != x.dtype:
            yield f"{s.dtype} gradient for {x.dtype} operand"
    fitting = all(s.shape == x.shape for s, x in zip(slopes, case.operands, strict=True))
    if fitting and case.admits and not case.admits(slopes):
        yield "no sub-gradient"


def told(a: np.ndarray, low: np.ndarray, high: np.ndarray, case: Case, limit: float) -> str:
    """Name the worst that is wrong in an array, and the right number."""
    wrong = np.argwhere(~np.atleast_1d(close(a, low, high, case, limit)))
    bad = [tuple(w) for w in wrong.tolist()]
    a, low, high = (np.atleast_1d(b) for b in (a, low, high))
    nans = [p for p in bad if np.isnan(a[p])]
    infs = [p for p in bad if np.isinf(a[p])]
    place = (nans or infs or bad)[0]
    bound = (low if a[place] < low[place] else high)[place]
    kind = ("nan" if nans else "inf" if infs else "0 for a number" if a[place] == 0 else
            f"off by {disagreement(a[place], bound, case):.0e}")
    right = f"{low[place]:.9g}" if low[place] == high[place] else (
        f"{low[place]:.3g} to {high[place]:.3g}")
    return f"{kind} ({a[place]:.9g}, right: {right})"


@dataclass
class Outcome:
    """What a package gave for a case."""

    case: Case
    package: Package
    value: np.ndarray | None = None
    slopes: list[np.ndarray] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    refused: str = ""
    offered: bool = True
    apart: float = 0.0  # from ours; ours from the truth

    @property
    def kinds(self) -> list[str]:
        """The faults without their numbers."""
        return [re.sub(r" \(.*| by .*", "", fault) for fault in self.faults]


def run(case: Case, package: Package) -> Outcome:
    """Run a case, and judge what comes out."""
    outcome = Outcome(case, package)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            f = case.program(package.ops)
            value, slopes = package.run(f, [a.copy() for a in case.operands], case.u)
    except (NotOfferedError, NotImplementedError):
        outcome.offered = False
    except Exception as error:
        outcome.refused = f"{type(error).__name__}: {str(error).splitlines()[0][:80]}"
    else:
        outcome.value = np.asarray(value, None if np.asarray(value).dtype.kind == "f" else float)
        outcome.slopes = [np.zeros(x.shape, x.dtype) if s is None else np.asarray(s)
                          for s, x in zip(slopes, case.operands, strict=True)]
        outcome.faults = list(faults(case, outcome.value, outcome.slopes))
    return outcome


def compare(case: Case, packages: Sequence[Package]) -> list[Outcome]:
    """Run a case by all packages; compare the first, ours, with the truth, the others with ours."""
    outcomes = [run(case, package) for package in packages]
    first = outcomes[0]
    for other in outcomes:
        if first.value is None or other.value is None:
            continue
        known = [case.value, *case.low] if other is first else [first.value, *first.slopes]
        found = [other.value, *other.slopes]
        if other is not first or case.one_is_right:
            other.apart = max([disagreement(b, a, case) for a, b in zip(known, found, strict=True)
                               if a.shape == b.shape], default=0)
    return outcomes


# ── telling ───────────────────────────────────────────────────────────────────────────────────────


def verdict(outcomes: Sequence[Outcome]) -> str:
    """One cell of the table: the worst disagreement with us, and who is right."""
    ran = [o for o in outcomes if o.value is not None]
    if not any(o.offered for o in outcomes):
        return "not offered"
    wrong = Counter(kind for o in ran for kind in o.kinds)
    refused = sum(bool(o.refused) for o in outcomes)
    parts = [f"{kind.replace(' gradient for ', ' for ').replace(' operand', '')}: {n}"
             for kind, n in wrong.most_common(2)]
    if not parts and ran:
        by_choice = any(o.apart > precision(o.case) and not o.case.one_is_right for o in ran)
        parts = ["another choice" if by_choice else "right"]
    parts += [f"refuses {refused}"] if refused else []
    sound = [o.apart for o in ran if not o.faults and o.case.one_is_right
             and precision(o.case) == LIMIT["float64"]]
    return f"{max(sound, default=0):.0e} " * bool(sound) + ", ".join(parts)


def line(outcome: Outcome) -> str:
    """Python that shows the outcome."""
    case, package = outcome.case, outcome.package
    symbols = SYMBOLS[: len(case.operands)]

    def spell(match: re.Match[str]) -> str:
        name = package.spelled.get(match[1], match[1])
        return name if name.startswith(("jax.", "autograd.")) else package.prefix + name

    def tell(match: re.Match[str]) -> str:
        more = package.added.get(match[1], "")
        told = (more.startswith("dim") and "axis" in match[2]) or "ddof" in match[2]
        return match[0] + (f", {more}" if more and not told else "")

    text = re.sub(r"\bo\.(\w+)\(([^()]*)", tell, case.text) if package.added else case.text
    text = re.sub(r"\bo\.(\w+)", spell, text)
    text = text.replace("ddof", "correction") if package.added else text
    def array(a: np.ndarray) -> str:
        values = re.sub(r"\b(inf|nan)\b", r"np.\1", str(a.tolist())) if a.size else (
            f"np.zeros({a.shape})")
        return package.array.format(values=values, dtype=a.dtype.name).replace(", 'float64')", ")")

    kind = case.value.dtype if case.value.dtype == np.float32 else np.dtype(float)
    places = tuple(range(len(symbols))) if len(symbols) > 1 else 0
    return package.line.format(f=text, places=places, names=", ".join(symbols),
                               xs=", ".join(map(array, case.operands)),
                               u=array(case.u.astype(kind)))


def short(text: str, most: int = 400) -> str:
    """Cut what is long."""
    return text if len(text) <= most else text[: most - 2] + " …"


def narrow(outcome: Outcome) -> Outcome:
    """The same fault at as few numbers of a row of numbers as will do: one, if one does."""
    case = outcome.case
    first, *rest = case.operands
    if outcome.refused or rest or case.u.shape != first.shape or case.u.ndim != 1:
        return outcome
    for k in range(case.u.size):
        cut = slice(k, k + 1)
        small = Case(case.op, case.text, case.program, [case.operands[0][cut]], case.u[cut],
                     case.value[cut], [case.low[0][cut]], [case.high[0][cut]])
        alone = run(small, outcome.package) if case.value.shape == case.u.shape else outcome
        if alone.faults and set(alone.kinds) <= set(outcome.kinds):
            return alone
    return outcome


def report(found: Iterable[Outcome], everything: bool) -> None:
    """List faults, the first of each kind, and how many there are like it."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[Outcome]] = {}
    for outcome in found:
        if outcome.refused:
            outcome.faults.append(f"refuses: {outcome.refused}")
        if outcome.faults:
            kinds = [outcome.refused.split(":")[0]] if outcome.refused else sorted({*outcome.kinds})
            key = outcome.package.name, outcome.case.op, tuple(kinds)
            groups.setdefault(key, []).append(outcome)
    for (name, op, _), alike in sorted(groups.items(), key=lambda item: (
            item[0][0] != "ours", item[0])):
        for outcome in alike if everything else alike[:1]:
            shown = narrow(outcome)
            more = f" (and {len(alike) - 1} like it)" if len(alike) > 1 and not everything else ""
            print(f"{name}, {op}: {'; '.join(dict.fromkeys(shown.faults))}{more}")
            print(f"    {short(line(shown))}")


def cases(op: str | None, seeds: int) -> Iterator[Case]:
    """All cases of an operation, or of all."""
    for spec in OPS:
        if op in (None, spec.name.split()[0]):
            for seed in range(seeds):
                yield from smooth(spec, seed)
                yield from kinks(spec, seed)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from (case for case in itertools.chain(stated(), precise())
                    if op in (None, case.op))


def main() -> None:
    """Compare, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--op", help="only this operation, as 'softmax'")
    parser.add_argument("--seeds", type=int, default=2, help="draws of each call (default 2)")
    parser.add_argument("--all", action="store_true", help="list every fault, not one of a kind")
    options = parser.parse_args()
    packages, remarks = installed()
    print("; ".join(remarks) + "\n")
    print("In double precision, the worst disagreement with us, relative (ours: with the oracle); "
          "then what is\nwrong in how many cases, how many are refused, or that another slope was "
          "chosen at a kink.\n")
    table: dict[str, list[list[Outcome]]] = {}
    for case in cases(options.op, options.seeds):
        table.setdefault(case.op, []).append(compare(case, packages))
    head = ["operation", "cases", *[p.name for p in packages]]
    rows = [[op, str(len(ran)), *[verdict(column) for column in zip(*ran, strict=True)]]
            for op, ran in table.items()]
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    for row in [head, ["-" * w for w in widths], *rows]:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
    print("\nFaults: what is not right by the oracle, the first of each kind\n")
    report((o for ran in table.values() for outcomes in ran for o in outcomes), options.all)


if __name__ == "__main__":
    main()
