"""Derivatives of functions: grad, vjp, jvp and their kin, nested to any order.

Each takes a function of Tensors. Inside, its arguments stand on nodes of their own, and the walk
back goes to those nodes only, so derivatives taken inside derivatives never mix. Where the result
can be differentiated in its turn (an outer derivative is under way), the walk is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from .derived import stack
from .graph import Leaf, Node, is_recording, lineage, recording, walk
from .rules import Function, rule
from .tensor import Tensor

Pullback = Callable[[Any], list[Tensor]]


def _alias(x: Any) -> Any:
    return x.view()


alias = rule(_alias, x=lambda g: g)


def no_grad() -> Any:
    """Compute without recording: ``with no_grad(): …``, or ``@no_grad()`` on a function.

    Results are constants. It holds in this thread or asyncio task alone, and ends with the block.

    >>> x = Tensor(3.0, requires_grad=True)
    >>> with no_grad():
    ...     y = x * x
    >>> y.requires_grad
    False
    """
    return recording(False)


def as_leaf(value: Any) -> Tensor:
    """Make a leaf of `value`. A complex Tensor is let through: the complex step is an oracle."""
    if isinstance(value, Tensor) and value.dtype.kind == "c":
        return Tensor._of(value._data, Leaf(value._data))
    return Tensor(bare(value), requires_grad=True)


def bare(value: Any) -> Any:
    """Give the array of a Tensor, and anything else as it is, lists of Tensors included."""
    return value._data if isinstance(value, Tensor) else value


def node_of(tensor: Any) -> Node | None:
    """Give the Node that a Tensor came from; None for a constant."""
    return tensor._node if isinstance(tensor, Tensor) else None


def pullback(f: Function, arguments: Sequence[Any], inner: Sequence[Any] = ()
             ) -> tuple[Tensor, Pullback, Sequence[Any]]:
    """Give f(*arguments), its pullback, and the nodes that the arguments stand on inside.

    The walk is recorded if the value hangs on something older than these nodes and those of
    `inner`, the arguments of a function that this one is a part of.
    """
    outer = is_recording()
    with recording(True):
        inputs = [alias(a) if outer and node_of(a) else as_leaf(a) for a in arguments]
        out = f(*inputs)
    if not isinstance(out, Tensor | np.ndarray | np.generic | float | int):
        kind = "None" if out is None else type(out).__name__
        raise TypeError(f"the function gave {kind}: it must return one Tensor (or a constant)")
    out = out if isinstance(out, Tensor) else Tensor(out, dtype=float)
    targets: list[Any] = [node_of(x) for x in inputs]
    root = node_of(out)
    # All that was made in here is younger than the arguments. What is older, another derivative or
    # the caller may ask about.
    first = min([node.serial for node in (*targets, *inner)], default=0)
    elsewhere = root is not None and outer and (root.serial < first or any(
        parent and parent.serial < first
        for node in lineage(root, first) for parent in node.parents))

    def back(cotangent: Any) -> list[Tensor]:
        onwards = is_recording() and (elsewhere or node_of(cotangent) is not None)
        known = onwards and isinstance(cotangent, Tensor)
        seed = cotangent if known else Tensor(bare(cotangent), dtype=out.dtype)
        if seed.shape != out.shape:
            raise ValueError(f"the cotangent has shape {seed.shape}, but the value of the function "
                             f"has shape {out.shape}: they must be equal")
        with recording(onwards):
            found = walk(root, seed if onwards else seed.numpy(), targets) if root else {}
        return [as_gradient(found.get(node), x) for node, x in zip(targets, inputs, strict=True)]

    return out if elsewhere else out.detach(), back, targets


def as_gradient(cotangent: Any, x: Tensor) -> Tensor:
    """Make a cotangent a Tensor like `x`; none arrived: zeros."""
    if isinstance(cotangent, Tensor):
        return cotangent
    return Tensor(np.zeros(x.shape) if cotangent is None else np.asarray(cotangent), dtype=x.dtype)


def vary(f: Function, argnums: int | tuple[int, ...], args: tuple[Any, ...],
         keywords: dict[str, Any]) -> tuple[Function, list[Any]]:
    """Give f as a function of the arguments `argnums` alone, and those arguments."""
    places = np.ravel(argnums).tolist()
    if not all(-len(args) <= place < len(args) for place in places):
        raise ValueError(f"argnums={argnums}, but {len(args)} argument(s) were given by position")
    if len({place % len(args) for place in places}) < len(places):
        raise ValueError(f"argnums={argnums} names an argument twice")

    def varied(*chosen: Any) -> Any:
        whole = list(args)
        for place, value in zip(places, chosen, strict=True):
            whole[place] = value
        return f(*whole, **keywords)

    return varied, [args[place] for place in places]


def value_and_grad(f: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The function x ↦ (f(x), ∂f/∂x) for an `f` that gives one number.

    `argnums`: which argument to differentiate by, or a tuple of them (then a tuple of gradients).
    A gradient has the shape and dtype of its argument. ValueError if f gives more than one number.

    >>> value, gradient = value_and_grad(lambda x: (x * x).sum())([1.0, 2.0])
    >>> value, gradient
    (Tensor(5.), Tensor([2., 4.]))
    """

    @wraps(f)
    def derived(*args: Any, **keywords: Any) -> tuple[Tensor, Any]:
        value, back, _ = pullback(*vary(f, argnums, args, keywords))
        if value.size != 1:
            raise ValueError("grad needs a function that gives one number; this gave shape "
                             f"{value.shape}. Reduce it, as by .sum(), or use jacobian() or vjp()")
        gradients = back(np.ones(value.shape))
        return value, gradients[0] if np.ndim(argnums) == 0 else tuple(gradients)

    return derived


def grad(f: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The function x ↦ ∂f/∂x; see `value_and_grad`. Nests: grad(grad(f)).

    >>> grad(lambda x: x**3)(2.0), grad(grad(lambda x: x**3))(2.0)
    (Tensor(12.), Tensor(12.))
    """
    both = value_and_grad(f, argnums)

    @wraps(f)
    def derived(*args: Any, **keywords: Any) -> Any:
        return both(*args, **keywords)[1]

    return derived


def vjp(f: Function, *primals: Any) -> tuple[Tensor, Callable[[Any], tuple[Tensor, ...]]]:
    """(f(*primals), pull): ``pull(u)`` gives uᵀJ for each argument; u has the shape of the value.

    >>> value, pull = vjp(lambda x: x * x, [1.0, 2.0])
    >>> pull([1.0, 10.0])
    (Tensor([ 2., 40.]),)
    """
    value, back, _ = pullback(f, primals)
    return value, lambda cotangent: tuple(back(cotangent))


def jvp(f: Function, primals: Any, tangents: Any) -> tuple[Tensor, Tensor]:
    """(f(x), J v): how f changes as x moves along v. For several arguments give two tuples.

    The pullback u ↦ uᵀJ is linear in u, and its derivative by u, along v, is J v.

    >>> jvp(lambda x: x * x, [1.0, 2.0], [1.0, 10.0])
    (Tensor([1., 4.]), Tensor([ 2., 40.]))
    """
    xs, vs = (a if isinstance(a, tuple) else (a,) for a in (primals, tangents))
    if [np.shape(x) for x in xs] != [np.shape(v) for v in vs]:
        raise ValueError(f"tangents of shape {[np.shape(v) for v in vs]} for arguments of shape "
                         f"{[np.shape(x) for x in xs]}: they must be equal")
    value, back, inner = pullback(f, xs)

    def along(u: Tensor) -> Any:
        with np.errstate(all="ignore"):  # its value is of no interest, only its slope
            return sum((inner_product(*p) for p in zip(back(u), vs, strict=True)), Tensor(0.0))

    u = np.random.default_rng(0).uniform(1, 2, value.shape)  # any will do but one with a 0 or ties
    _, pull, _ = pullback(along, [Tensor(u, dtype=value.dtype)], inner)
    return value, pull(1.0)[0]


def inner_product(x: Tensor, v: Any) -> Any:
    """Sum of products, with an array of integers taken as floats."""
    return (x * (v if isinstance(v, Tensor) else np.asarray(v, x.dtype))).sum()


def hvp(f: Function, x: Any, v: Any) -> Tensor:
    """The Hessian of a scalar `f` at `x`, times `v`, without forming it: ∂/∂x ⟨∂f/∂x, v⟩.

    >>> hvp(lambda x: (x**3).sum(), [1.0, 2.0], [1.0, 1.0])
    Tensor([ 6., 12.])
    """
    return grad(lambda y: inner_product(grad(f)(y), v))(x)  # type: ignore[no-any-return]


def jacobian(f: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The function x ↦ J, J[i, j] = ∂f_i/∂x_j, of shape (*f(x).shape, *x.shape).

    One walk for each element of f(x).

    >>> jacobian(lambda x: x * x)([1.0, 2.0])
    Tensor([[2., 0.],
            [0., 4.]])
    """

    @wraps(f)
    def derived(*args: Any, **keywords: Any) -> Any:
        value, back, _ = pullback(*vary(f, argnums, args, keywords))
        units = np.eye(value.size).reshape(value.size, *value.shape)
        rows = [back(unit) for unit in units] or [back(np.zeros(value.shape))]
        blocks = [stack(row)[: value.size] for row in zip(*rows, strict=True)]
        whole = [block.reshape((*value.shape, *block.shape[1:])) for block in blocks]
        return whole[0] if np.ndim(argnums) == 0 else tuple(whole)

    return derived


def hessian(f: Function, argnums: int = 0) -> Function:
    """The function x ↦ H, H[i, j] = ∂²f/∂x_i∂x_j, of shape (*x.shape, *x.shape).

    >>> hessian(lambda x: (x**3).sum())([1.0, 2.0])
    Tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacobian(grad(f, argnums), argnums)
