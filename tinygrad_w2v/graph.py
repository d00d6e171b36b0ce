"""The graph, and the walk back through it: the page to read first.

Every operation on Tensors computes its result at once, with NumPy, and leaves a `Node` behind:
which rule made the result, from which parents, and the few arrays its derivatives will want. `walk`
goes back over the nodes, youngest first, and applies the chain rule (E7)

    x̄ = Σ over the consumers y of x:  ȳ · ∂y/∂x

one node at a time, where x̄ (the *cotangent* of x) is ∂L/∂x. That is all of reverse mode: one sweep
gives the derivative by every parameter. The derivatives themselves stand in `rules.py`.

A node knows its parents, never its consumers, and holds arrays, never a Tensor: edges point one
way, there is no reference cycle, and Python frees a graph the moment its last Tensor goes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .sparse import Array, RowGrad, is_finite, plus, unbroadcast

if TYPE_CHECKING:
    from .rules import Rule

_recording: ContextVar[bool] = ContextVar("recording", default=True)
is_recording = _recording.get
watched = False  # is any walk looked at, step by step? Then it is careful from the start
_serials = itertools.count()
_SCALARS = {float, int, bool, complex, type(None)}  # NumPy's numbers are arrays of no axes


class GraphError(RuntimeError):
    """The graph cannot give the derivative that was asked of it."""


class Traced:
    """What the graph needs to know of a Tensor: its array, and its node (a constant has None)."""

    __slots__ = ("_data", "_node")
    _data: Array
    _node: Node | None

    @classmethod
    def _of(cls, data: Array, node: Node | None) -> Self:
        new = cls.__new__(cls)
        new._data, new._node = data, node
        data.setflags(write=False)
        return new


class Node:
    """One operation that was carried out: an arrow from a result to what it was made of.

    `parents[i]` is the Node of operand i, or None if that operand is a constant; `saved[j]` is the
    value of operand j (the last one: of the result) if a derivative wants it, else None; numbers of
    another type stand there in the type of the result. `serial` counts nodes up, so a node is
    always younger than its parents: sorting by age is a topological sort. `owner` is the Leaf in
    whose memory the result lies, if any (w.T shares w's), `versions` say which version of such
    memory each saved array shows.
    """

    __slots__ = ("dtype", "meta", "owner", "parents", "rule", "saved", "serial", "shape",
                 "versions")

    def __init__(self, rule: Rule, parents: tuple[Any, ...], saved: tuple[Any, ...],
                 meta: dict[str, Any], out: Array, owner: Leaf | None, versions: tuple[Any, ...]):
        self.serial, self.shape, self.dtype = next(_serials), out.shape, out.dtype
        self.rule, self.parents, self.saved, self.meta = rule, parents, saved, meta
        self.owner, self.versions = owner, versions


class Leaf(Node):
    """The Node of a Tensor made with `requires_grad=True`: where gradients end up.

    `grad` is what `backward` has added up so far (None: nothing yet). `version` counts the changes
    made to the value in place; the walk refuses a saved array whose Leaf has moved on.
    """

    __slots__ = ("grad", "version")
    rule, parents, saved, meta, versions = None, (), (), None, ()  # type: ignore[assignment]

    def __init__(self, value: Array):
        self.serial, self.shape, self.dtype = next(_serials), value.shape, value.dtype
        self.grad: Array | RowGrad | None = None
        self.version = 0

    @property
    def owner(self) -> Leaf:  # type: ignore[override]
        """Its memory is its own (a property: a Leaf holds no reference to itself)."""
        return self


@contextmanager
def recording(on: bool) -> Iterator[None]:
    """Switch recording on or off for the block, in this thread or task alone."""
    token = _recording.set(on)
    try:
        yield
    finally:
        _recording.reset(token)


# ── forward ───────────────────────────────────────────────────────────────────────────────────────


def record(rule: Rule, operands: tuple[Any, ...], meta: dict[str, Any]) -> Any:
    """Compute ``rule.fn(*operands, **meta)``; leave a Node behind if a derivative may be asked for.

    With a Tensor among the operands the result is a Tensor; on plain arrays it is plain NumPy.
    """
    face, arrays = None, []
    nodes: list[Any] = []
    for operand in operands:
        if isinstance(operand, Traced):
            face = type(operand)
            arrays.append(operand._data)
            nodes.append(operand._node)
        else:
            arrays.append(operand if type(operand) in _SCALARS else np.asarray(operand))
            nodes.append(None)
    if face is None:
        return rule.fn(*arrays, **meta)
    try:
        out = np.asarray(rule.fn(*arrays, **meta))
    except (ValueError, IndexError) as error:
        raise rule.explain(error, arrays) from error
    if out.dtype.char not in "fdgFDG":
        raise TypeError(f"{rule.name}() gave {out.dtype}, not float32 or float64: use .numpy()")
    # The arrays of Tensors are read-only, and so are views of them: is this one of a Leaf's?
    owner = None if out.flags.writeable else next(
        (n.owner for a, n in zip(arrays, nodes, strict=True)
         if n and n.owner and np.may_share_memory(a, out)), None)
    parents = rule.differentiable(nodes)
    if not (any(parents) and _recording.get()):
        return face._of(out.copy() if owner else out, None)  # constants do not change with a Leaf
    saved: list[Any] = [None] * (len(arrays) + 1)
    versions = []
    for j in rule.wanted(parents):
        value, leaf = (out, owner) if j == len(arrays) else (arrays[j], nodes[j] and nodes[j].owner)
        if leaf:
            versions.append((leaf, leaf.version))
        elif value is not out and type(value) is np.ndarray and not isinstance(operands[j], Traced):
            value = value.copy()[...]  # the caller may change it; a view is nobody's to add to
        saved[j] = value if type(value) in _SCALARS or value.dtype is out.dtype else rule.suited(
            value, j, out.dtype)
    if meta:
        meta = {k: v.copy() if isinstance(v, (list, np.ndarray)) else v for k, v in meta.items()}
    return face._of(out, Node(rule, parents, tuple(saved), meta, out, owner, tuple(versions)))


# ── backward ──────────────────────────────────────────────────────────────────────────────────────


def lineage(root: Node, since: int = 0) -> list[Node]:
    """List `root` and all it was made of, youngest first: every node before its parents.

    Nodes with a serial below `since` are left out: no older node was made of a younger one.
    """
    seen, todo = {root}, [root]
    while todo:
        for parent in todo.pop().parents:
            if parent and parent not in seen and parent.serial >= since:
                seen.add(parent)
                todo.append(parent)
    return sorted(seen, key=attrgetter("serial"), reverse=True)


def walk(root: Node, seed: Any, targets: Sequence[Node] = (), careful: bool = False
         ) -> dict[Node, Any]:
    """Carry the cotangent `seed` of `root` back to all leaves, or to `targets`: E7, node by node.

    A cotangent travels as an array. If `seed` is a Tensor it travels as Tensors, every step is
    recorded like any other operation, and the result can be differentiated again. Nothing but the
    result is changed.

    What cannot reach the loss cannot harm it: of a cotangent of 0 an infinite slope, too, makes 0.
    To look for that at every node takes time, and 0 · ∞ = NaN does not get lost on its way. So the
    walk looks at what arrives, and only if that is not finite it goes again, and is `careful`.
    """
    order, ends = lineage(root, min([node.serial for node in targets], default=0)), set(targets)
    alive = set(order) if not targets else ends.copy()  # the nodes on a way from root to an end
    for node in reversed(order) if targets else ():
        if not alive.isdisjoint(node.parents):
            alive.add(node)
    cotangents, careful = {root: seed}, careful or watched
    with np.errstate(all="ignore"):  # an infinite slope, as of sqrt at 0, is an answer here
        for node in order:
            if node in ends or node not in alive or not node.parents:
                continue
            g = cotangents.pop(node)
            g = g.dense() if type(g) is RowGrad else g
            for i, parent in enumerate(node.parents):
                if parent in alive:
                    share = fit(pull(node, i, g, careful), node, i, g)
                    if share is g and type(g) is np.ndarray:
                        g.setflags(write=False)  # it has two owners now: see `plus`
                    known = cotangents.get(parent)
                    cotangents[parent] = share if known is None else plus(known, share)
        arrived = careful or all(map(is_finite, cotangents.values()))
    return cotangents if arrived else walk(root, seed, targets, careful=True)


def pull(node: Node, i: int, g: Any, careful: bool = False) -> Any:
    """Apply the rule of `node` for operand i to the cotangent `g` of its result."""
    derivative = node.rule.derivative(i)
    for leaf, version in node.versions:
        if leaf.version != version:
            raise GraphError(
                f"backward through {node.rule.name}(): a saved parameter of shape {leaf.shape} was "
                "changed by an optimiser step or edit(). Call backward() before, or compute again.")
    saved = node.saved
    if isinstance(g, Traced):  # recorded: saved arrays are Tensors again, tied to their nodes
        wrap, sources = type(g)._of, (*node.parents, node)
        saved = tuple([wrap(v, n) if getattr(v, "dtype", np.dtype(int)).kind in "fc" else v
                       for v, n in zip(saved, sources, strict=True)])
    values = saved[:-1] if derivative.needs is None else [saved[j] for j in derivative.needs]
    share = derivative.fn(g, *values, **derivative.keywords(node.meta, node.parents[i].shape, i))
    if not (careful and derivative.local):
        return share
    elementwise = node.rule.elementwise
    if is_finite(share) if elementwise else np.any(g):
        return share
    dead = ~np.isfinite(share) & (g == 0 if elementwise else True)
    return np.where(dead, 0, share)  # the strong zero


def fit(share: Any, node: Node, i: int, g: Any) -> Any:
    """Give operand i's share the operand's shape and dtype: un-broadcast, cast, check the type."""
    parent = node.parents[i]
    if type(share) is type(g) and share.dtype is parent.dtype and share.shape == parent.shape:
        return share
    if isinstance(g, Traced):
        share = share if isinstance(share, Traced) else type(g)._of(np.asarray(share), None)
    elif not isinstance(share, RowGrad):
        share = np.asarray(share)
    fitted = share if share.shape == parent.shape else unbroadcast(share, parent.shape)
    if fitted is None or share.dtype.kind not in ("f", "i", parent.dtype.kind):
        raise GraphError(f"the rule of {node.rule.name}() for operand {i} gave {share.dtype} of "
                         f"shape {share.shape}, the operand is {parent.dtype} of {parent.shape}")
    return fitted if fitted.dtype == parent.dtype else fitted.astype(parent.dtype)
