"""Testing gradients: at every order, and for every layout of the operands.

`check_grad` judges one function of Tensors at one point, `check_vjp` any function for which
somebody wrote a vjp, `check_op` everything that `OpSpec` says of an operation; `ops.OPS` describes
the operations of this package. An error names the likely mistake. `strategies` draws inputs with
hypothesis (the extra ``tinygrad-w2v[test]``) and is loaded only when it is imported.

>>> import numpy as np
>>> from tinygrad_w2v.testing import check_grad, check_vjp
>>> check_grad(lambda x: np.exp(x) * x, np.array([0.5, -1.5])).oracle
'complex step'
>>> check_vjp(np.sin, lambda g, x: g * np.cos(x), np.array([0.5, -1.5])).covered
'the whole Jacobian'
"""

from .invariants import Call as Call, OpSpec as OpSpec, check_op as check_op
from .oracle import (
    Agreement as Agreement,
    GradientError as GradientError,
    check_grad as check_grad,
    check_vjp as check_vjp,
)
