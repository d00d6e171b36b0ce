"""Random programs: whole graphs of many operations, whose gradients an oracle confirms.

Operations that are right one by one can still be put together wrongly: a value used twice, a view
of a view, a constant in between, an order of the walk. A `Program` is such a graph as data: steps
over a few small arrays, and a weighted sum of what they computed. It runs on Tensors (the engine's
operations) and on plain arrays, real or complex (a *twin* of each operation in plain NumPy, which
is analytic, so that the complex step can judge it), and it prints itself as Python code.

`draw_program` draws one. It computes as it draws, and offers an operation only such operands as it
is smooth and well-conditioned at: no logarithm near 0, no tie closer than 1/1000, nothing that lets
rounding errors grow. So every program can be judged to the last digits, and none is thrown away.

>>> import numpy as np
>>> program = draw_program(np.random.default_rng(0), steps=20)
>>> gradient_deviation(program) < 1e-12
True

The value of an island (`detach`, ``no_grad``) is a constant: a twin keeps its real part only.
"""

from .claims import (
    backward as backward,
    complex_step as complex_step,
    deviation as deviation,
    differences_deviation as differences_deviation,
    gradient_deviation as gradient_deviation,
    hessian_deviation as hessian_deviation,
)
from .program import (
    OPERATIONS as OPERATIONS,
    Program as Program,
    Step as Step,
    simpler as simpler,
    smallest as smallest,
)
from .table import draw_program as draw_program
