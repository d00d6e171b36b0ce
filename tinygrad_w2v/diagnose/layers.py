"""Which layers a graph holds: a neuron is a shape that nodes make (E9), whoever wrote them.

    x ──┐
        ├─ matmul ─┐                          the activation: elementwise operations
    w ──┘          ├─ add ── z ── tanh ── a   between z and a, of which a alone goes on
    b ─────────────┘

A *layer* is a product of a parameter with something that is none. `find` looks for them among the
nodes, and knows nothing of `nn.MLP` or of any other class. What is added to a product, and to
nothing else, belongs to z: a bias, or the product of a recurrent layer's state. What `find` cannot
make out it says in words: a table that is looked up, a weight that is itself computed, a product
without a weight, an activation that is not elementwise.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .. import rules
from ..graph import Leaf, Node, lineage
from ..rules import Function, Rule
from ..sparse import Array


def rule_of(op: Function) -> Rule:
    """Give the Rule of an operation, by which its nodes are known."""
    return op.rule  # type: ignore[attr-defined,no-any-return]


MATMUL, MATMUL_T, EINSUM = map(rule_of, (rules.matmul, rules.matmul_t, rules.einsum))
PRODUCTS = {MATMUL, MATMUL_T, EINSUM}
ADD, SUBTRACT, RESHAPE = map(rule_of, (rules.add, rules.subtract, rules.reshape))
VIEWS = {RESHAPE, *map(rule_of, (  # a parameter seen through these is still that parameter
    rules.transpose, rules.swapaxes, rules.moveaxis, rules.astype, rules.squeeze,
    rules.expand_dims))}
# Elementwise, if their operands have the result's shape, beside what says so itself.
ELEMENTWISE = {RESHAPE, *map(rule_of, (rules.where, rules.astype))}
SILENT = {RESHAPE, *map(rule_of, (rules.positive, rules.astype))}  # these are no activation


class Layer(NamedTuple):
    """A layer that was found: its product, what that is made of, where its activation stands.

    `place`: which operand of `product` is the weight. `z` is what the activation is applied to (the
    product, or a sum with it), `a` what it gave (z itself if there is none), `ops` the operations
    in between.
    """

    product: Node
    place: int
    weight: Leaf
    z: Node
    a: Node
    ops: tuple[Rule, ...]

    @property
    def inputs(self) -> Array:
        """The inputs x, of shape (…, n_in)."""
        x = np.asarray(self.product.saved[1 - self.place])
        if self.product.rule is EINSUM:
            return np.transpose(x, _axes(self)[0])
        in_columns = self.place == 0 and self.product.rule is MATMUL and x.ndim > 1  # w @ x
        return x.mT if in_columns else x

    def outputs(self, array: Array) -> Array:
        """Turn an array of the shape of z and a to (…, n_out), with the other axes of `inputs`."""
        if self.product.rule is EINSUM:
            array = np.transpose(array, _axes(self)[1])
        if len(self.product.parents[self.place].shape) == 1:  # one neuron, whose w is a vector
            return array[..., None]
        in_columns = self.product.rule is not EINSUM and self.place == 0 and array.ndim > 1
        return array.mT if in_columns else array

    def weights(self, gradient: Array) -> Array:
        """Turn a gradient by the weight, as the product has it, to (n_in, n_out)."""
        if gradient.ndim == 1:
            return gradient[:, None]
        if self.product.rule is EINSUM:
            weight, _, out = _terms(self.product, self.place)
            return gradient.T if weight[0] in out else gradient
        by_rows = self.product.rule is MATMUL_T or self.place == 0  # a row for each neuron
        return gradient.T if by_rows else gradient


class Found(NamedTuple):
    """The layers of a graph in the order they were computed, and what was not made out."""

    layers: list[Layer]
    unseen: list[str]


def find(root: Node, inside: set[Node], data: Iterable[Node | None] = ()) -> Found:
    """Find the layers that `root`, the loss, was computed with.

    `inside`: the nodes that the model made, as opposed to the loss: activations end there. `data`:
    nodes of Tensors that are data, not parameters.
    """
    graph = lineage(root)[::-1]
    search = _Search(graph, inside, {node for node in data if node})
    for node in graph:
        if node.rule in PRODUCTS:
            search.look_at(node)
    for node in graph:
        if isinstance(node, Leaf) and node not in search.data:
            search.tell_of_other_uses(node)
    return Found(search.layers, search.unseen)


class _Search:
    """What `find` knows while it looks."""

    def __init__(self, graph: list[Node], inside: set[Node], data: set[Node]):
        self.inside, self.data = inside, data
        self.layers, self.unseen = list[Layer](), list[str]()
        self.sums = set[Node]()  # from products to z
        self.consumers = defaultdict[Node, list[Node]](list)
        for node in graph:
            for parent in filter(None, node.parents):
                self.consumers[parent].append(node)

    def parameter(self, node: Node | None) -> Leaf | None:
        """Give the parameter that a node is, or is a view of; None if it is something else."""
        while node and node.rule in VIEWS:
            node = node.parents[0]
        return node if isinstance(node, Leaf) and node not in self.data else None

    def look_at(self, product: Node) -> None:
        """Make a Layer of a product, if it is one; else say what it is."""
        places = [i for i, parent in enumerate(product.parents) if self.parameter(parent)]
        if why := _why_no_layer(product, places):
            self.unseen.append(f"The {product.rule.name}() that gave shape {product.shape} is no "
                               f"layer: {why}.")
            return
        (place,) = places
        z = self.add_up(product)
        a, ops = self.activate(z)
        weight = self.parameter(product.parents[place])
        assert weight
        self.layers.append(Layer(product, place, weight, z, a, ops))

    def add_up(self, out: Node) -> Node:
        """Follow a product to what the activation is applied to: sums that it alone goes into.

        On the way there may be a reshape that changes nothing, as `tensordot` leaves one behind.
        """
        while len(self.consumers[out]) == 1:
            (after,) = self.consumers[out]
            adds = after.rule in (ADD, RESHAPE) or (
                after.rule is SUBTRACT and after.parents[0] is out)
            if not adds or after.shape != out.shape or after not in self.inside:
                break
            self.sums.add(after)
            out = after
        return out

    def activate(self, z: Node) -> tuple[Node, tuple[Rule, ...]]:
        """Give the node where the activation of z ends, and its operations: (z, ()) if none."""
        region = self.elementwise_from(z)
        exits = [n for n in region if not self.consumers[n] or {*self.consumers[n]} - region]
        nodes = sorted(region - {z}, key=lambda n: n.serial)
        ops = [n.rule for n in nodes]
        name = f"Layer {len(self.layers) + 1}"
        if len(exits) > 1:
            self.unseen.append(
                f"{name}: no activation made out. {', '.join(op.name for op in ops)} follow, and "
                f"values go on from {len(exits)} of these places: not one slope.")
            return z, ()
        after = {n.rule for n in self.consumers[exits[0]] if n in self.inside}
        if not ops and after and not after & PRODUCTS:
            names = ", ".join(sorted(f"{rule.name}()" for rule in after))
            self.unseen.append(
                f"{name}: no activation made out. {names} follows, which takes other values in, "
                "too, moves elements, or is a rule() that does not promise elementwise=True.")
        while nodes and _shifts(nodes[-1], region):
            nodes.pop()
        return exits[0], tuple([n.rule for n in nodes if n.rule not in SILENT])

    def elementwise_from(self, z: Node) -> set[Node]:
        """Collect what is made of z element by element, with constants and parameters at most.

        Nodes are taken oldest first, so that all parents of a node were looked at before it.
        """
        region, todo, queued = {z}, [(z.serial, z)], {z}
        while todo:
            node = heapq.heappop(todo)[1]
            fits = node.shape == z.shape and (
                node.rule.elementwise or node.rule in ELEMENTWISE)
            if node is z or (fits and all(
                    p is None or p in region or self.parameter(p) for p in node.parents)):
                region.add(node)
                for after in {*self.consumers[node]} & self.inside - queued:
                    queued.add(after)
                    heapq.heappush(todo, (after.serial, after))
        return region

    def tell_of_other_uses(self, leaf: Leaf) -> None:
        """Say of a parameter what uses it but as the weight or the bias of a layer."""
        products = {layer.product for layer in self.layers if layer.weight is leaf}
        users = self.users(leaf)
        known = {*users} & (products | self.sums)
        uses = Counter(node.rule.name for node in users
                       if node not in known and node.rule not in PRODUCTS)
        if uses:
            what = ", ".join(f"{name}()" + f" × {n}" * (n > 1) for name, n in uses.items())
            self.unseen.append(
                f"A parameter of shape {leaf.shape} is also used by {what}: what that adds to its "
                "gradient is in the step, and in no other number." if known else
                f"A parameter of shape {leaf.shape} is used by {what}, and in no layer: its "
                "gradient is in no row.")

    def users(self, leaf: Node) -> list[Node]:
        """List the nodes that a parameter goes into, itself or a view of it."""
        return [user for node in self.consumers[leaf]
                for user in (self.users(node) if node.rule in VIEWS else [node])]


def _shifts(node: Node, region: set[Node]) -> bool:
    """Tell whether a node adds a constant: what an activation ends with changes no slope of it.

    So x + tanh(z) is a tanh, also where x are the examples, which are constants.
    """
    inside = [parent in region for parent in node.parents]
    return (node.rule is ADD and inside.count(True) == 1) or (
        node.rule is SUBTRACT and inside == [True, False])


def _why_no_layer(product: Node, places: list[int]) -> str:
    """Say why a product is not Σᵢ wᵢⱼ xᵢ of a parameter w, for each row of x; "" if it is."""
    if not places:
        constant = any(p is None for p in product.parents)
        return ("one operand is a constant, the other is computed" if constant else
                "both operands are computed, as in attention, or with a weight that is computed")
    if len(places) > 1:
        return "it is a product of parameters"
    shape = product.parents[places[0]].shape
    if len(shape) not in (1, 2):
        return f"its parameter of shape {shape} is a stack of weights"
    if product.rule is not EINSUM:
        return ""
    subscripts = product.meta["subscripts"]
    if len(product.parents) == 2:
        weight, x, out = _terms(product, places[0])
        inner, outer = {*weight} & {*x} - {*out}, {*weight} & {*out} - {*x}
        once = all(len({*term}) == len(term) for term in (weight, x, out))
        if (once and len(inner) == 1 and len(outer) == len(shape) - 1
                and {*out} == ({*x} | {*weight}) - inner):
            return ""
    return f"{subscripts} is no sum over the inputs of neurons (E9)"


def _terms(product: Node, place: int) -> tuple[str, str, str]:
    """Give the subscripts of an einsum of two: of the weight, of the other, of the result."""
    terms, out = product.meta["subscripts"].split("->")
    weight, other = terms.split(",")[:: -1 if place else 1]
    return weight, other, out


def _axes(layer: Layer) -> tuple[list[int], list[int]]:
    """Give the orders of axes in which the neurons' inputs, and the neurons, come last."""
    weight, x, out = _terms(layer.product, layer.place)
    inner = next(c for c in weight if c in x)
    rest = [c for c in x if c != inner]
    return ([x.index(c) for c in [*rest, inner]],
            [out.index(c) for c in [*rest, *weight.replace(inner, "")]])
