"""A program as data: steps, each an operation, over a few inputs; and how it is made simpler."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from ...graph import recording
from ...sparse import Array
from ...tensor import Tensor

Function = Callable[..., Any]
Drawn = tuple[tuple[int, ...], dict[str, Any]] | None  # operands and keywords
Draw = Callable[[Any], Drawn]  # of a `Drawer`


class Operation(NamedTuple):
    """The engine's operation and its twin, both called with operands and keywords.

    `draw` finds operands; `code` is the Python text, where it is not a plain call; `analytic` is to
    be used on Tensors of complex numbers where the engine's own is not analytic.
    """

    tensor: Function
    plain: Function
    draw: Draw
    code: str = ""
    analytic: Function | None = None


OPERATIONS: dict[str, Operation] = {}  # the rows stand in `table`


class Step(NamedTuple):
    """One operation: its name in `OPERATIONS`, the numbers of its operands, its keywords.

    Values are numbered from 0: the inputs first, then what each step gives. A step that is not
    `recorded` runs under ``no_grad``.
    """

    op: str
    operands: tuple[int, ...] = ()
    keywords: dict[str, Any] = {}  # noqa: RUF012  (nobody writes to it)
    recorded: bool = True

    def run(self, known: Sequence[Any]) -> Any:
        """Compute it: with the engine if an operand is a Tensor, else with the twin."""
        if self.op == "constant":
            return self.keywords["value"]
        row, operands = OPERATIONS[self.op], [known[k] for k in self.operands]
        kinds = [x.dtype.kind for x in operands if isinstance(x, Tensor)]
        if not kinds:
            out = np.asarray(row.plain(*operands, **self.keywords))
            return out if self.recorded else out.real
        if "c" in kinds:  # the engine's walk is being judged by the complex step
            out = (row.analytic or row.tensor)(*operands, **self.keywords)
            return out if self.recorded else constant_tensor(out)
        with recording(self.recorded):
            return row.tensor(*operands, **self.keywords)

    def code(self, names: Sequence[str], number: int) -> str:
        """Write it in Python."""
        operands = [names[k] for k in self.operands]
        keywords = {k: code(v) for k, v in self.keywords.items()}
        template = OPERATIONS[self.op].code
        if template:
            text = template.format(*operands, every=", ".join(operands), **keywords)
        else:
            text = ", ".join(operands + [f"{k}={v}" for k, v in keywords.items()])
            text = f"tg.{self.op}({text})"
        line = f"{names[number]} = {text}"
        return line if self.recorded else f"with tg.no_grad():\n    {line}"


@dataclass(frozen=True, repr=False)
class Program:
    """Steps over `inputs`, and the loss: the sum of all elements of value × weights over `terms`.

    Call it with arrays, real or complex, or with Tensors in place of the inputs. `str` gives Python
    code that computes the loss and the gradients.

    >>> program = Program((np.array([1.0, 2.0]),), (Step("exp", (0,)), Step("*", (1, 0))),
    ...                   ((2, np.array([1.0, 0.5])),))
    >>> program(np.array([0.0, 1.0]))
    np.float64(1.3591409142295225)
    >>> print(program)
    import numpy as np
    import tinygrad_w2v as tg
    <BLANKLINE>
    x0 = tg.Tensor(np.array([1.0, 2.0]), requires_grad=True)
    v1 = tg.exp(x0)
    v2 = v1 * x0
    loss = (v2 * np.array([1.0, 0.5])).sum()
    loss.backward()
    print(x0.grad)
    """

    inputs: tuple[Array, ...]
    steps: tuple[Step, ...]
    terms: tuple[tuple[int, Array], ...]

    def values(self, *inputs: Any) -> list[Any]:
        """All values: the inputs, and what each step gives."""
        known = list(inputs)
        for step in self.steps:
            known.append(step.run(known))
        return known

    def __call__(self, *inputs: Any) -> Any:
        """The loss."""
        known = self.values(*inputs)
        return reduce(operator.add, [(known[k] * weights).sum() for k, weights in self.terms])

    def of_vector(self, vector: Any) -> Any:
        """The loss, as a function of all elements of all inputs in one vector."""
        ends = np.cumsum([x.size for x in self.inputs]).tolist()
        return self(*[np.reshape(vector[end - x.size : end], x.shape)
                      for end, x in zip(ends, self.inputs, strict=True)])

    @property
    def point(self) -> Array:
        """All elements of all inputs in one vector."""
        return np.concatenate([x.ravel() for x in self.inputs])

    def __str__(self) -> str:
        names = [f"x{k}" for k in range(len(self.inputs))]
        names += [f"v{k + len(names)}" for k in range(len(self.steps))]
        lines = ["import numpy as np", "import tinygrad_w2v as tg", ""]
        lines += [f"{names[k]} = tg.Tensor({code(x)}, requires_grad=True)"
                  for k, x in enumerate(self.inputs)]
        lines += [step.code(names, k) for k, step in enumerate(self.steps, len(self.inputs))]
        terms = [f"({names[k]} * {code(weights)}).sum()" for k, weights in self.terms]
        lines += [f"loss {'+=' if k else '='} {term}" for k, term in enumerate(terms)]
        grads = ", ".join([f"{name}.grad" for name in names[: len(self.inputs)]])
        return "\n".join([*lines, "loss.backward()", f"print({grads})"])

    __repr__ = __str__

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Be printed as code by hypothesis and IPython."""
        printer.text(str(self))

    def is_anchor(self, k: int) -> bool:
        """Tell whether value `k` is an input, or the square of one."""
        n = len(self.inputs)
        return k < n or (self.steps[k - n].op == "square" and self.steps[k - n].operands[0] < n)

    def with_constants(self, places: Sequence[int]) -> Program:
        """The same program with the results of some steps (by position) made constants.

        All other values stay what they are, and so no operation comes near a kink by it. Steps that
        nothing needs any more are left out.
        """
        known, n = self.values(*self.inputs), len(self.inputs)
        steps = list(self.steps)
        for k in places:
            steps[k] = Step("constant", (), {"value": np.array(known[n + k])})
        return replace(self, steps=tuple(steps)).without_the_unused()

    def without_the_unused(self) -> Program:
        """The same program without the steps that the loss does not depend on."""
        n, needed = len(self.inputs), {k for k, _ in self.terms}
        for k in reversed(range(len(self.steps))):
            if n + k in needed:
                needed.update(self.steps[k].operands)
        kept = [*range(n), *[n + k for k in range(len(self.steps)) if n + k in needed]]
        number = {old: new for new, old in enumerate(kept)}
        steps = [self.steps[k - n] for k in kept[n:]]
        return Program(self.inputs,
                       tuple([s._replace(operands=tuple([number[k] for k in s.operands]))
                              for s in steps]),
                       tuple([(number[k], weights) for k, weights in self.terms]))


def simpler(program: Program) -> Iterator[Program]:
    """Programs with a term less, a last step less, or the result of one step made a constant.

    What the loss holds of the inputs and their squares stays, for the size of the derivatives.
    """
    n, known = len(program.inputs), program.values(*program.inputs)
    for place, (k, weights) in enumerate(program.terms):
        if not program.is_anchor(k):
            rest = program.terms[:place] + program.terms[place + 1 :]
            before = [(j, np.resize(weights, np.shape(known[j])))
                      for j in program.steps[k - n].operands]
            yield replace(program, terms=rest).without_the_unused()
            yield replace(program, terms=(*rest, *before)).without_the_unused()
    for place, step in enumerate(program.steps):
        if step.op != "constant" and not program.is_anchor(n + place):
            yield program.with_constants([place])


def smallest(program: Program, fails: Callable[[Program], bool]) -> Program:
    """Make the program simpler for as long as it still fails.

    >>> from tinygrad_w2v.testing.programs import draw_program
    >>> program = draw_program(np.random.default_rng(1), steps=20)
    >>> fails = lambda p: any(step.op == "tanh" for step in p.steps)
    >>> len(program.steps) >= 20, [step.op for step in smallest(program, fails).steps]
    (True, ['constant', 'tanh', 'square', 'square'])
    """
    while True:
        for candidate in simpler(program):
            if fails(candidate):
                program = candidate
                break
        else:
            return program


def code(value: Any) -> str:
    """Write a number, an array, or a tuple or list of them in Python, exactly.

    >>> code((np.array([1, 2]), slice(None), 0.1))
    '(np.array([1, 2]), slice(None, None, None), 0.1)'
    """
    if isinstance(value, np.ndarray):
        return f"np.array({value.tolist()!r})"
    if isinstance(value, tuple):
        return f"({', '.join([code(v) for v in value])}{',' * (len(value) == 1)})"
    return "np.inf" if isinstance(value, float) and value == np.inf else repr(value)


def constant_tensor(x: Tensor) -> Tensor:
    """Make a constant of a Tensor: of a complex one, its real part."""
    return Tensor(x.data.real) if x.dtype.kind == "c" else x.detach()
