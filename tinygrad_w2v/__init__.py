"""A small reverse-mode autodiff Tensor on NumPy, with skip-gram word vectors and an MLP on top.

>>> import tinygrad_w2v as tg
>>> x = tg.Tensor([1.0, 2.0], requires_grad=True)
>>> tg.sum(tg.exp(x) * x).backward()
>>> x.grad
array([ 5.43656366, 22.1671683 ])
"""

from importlib import import_module as _import
from typing import TYPE_CHECKING, Any as _Any

from . import nn as nn, optim as optim
from .debug import debug as debug
from .derived import (
    clip as clip, concatenate as concatenate, cumprod as cumprod, dot as dot, einsum as einsum,
    index as index, norm as norm, outer as outer, pad as pad, prod as prod, ravel as ravel,
    scatter as scatter, split as split, stack as stack, take as take, tensordot as tensordot,
)
from .functional import (
    grad as grad, hessian as hessian, hvp as hvp, jacobian as jacobian, jvp as jvp,
    no_grad as no_grad, value_and_grad as value_and_grad, vjp as vjp,
)
from .graph import GraphError as GraphError
from .rules import (
    abs as abs, add as add, arccos as arccos, arcsin as arcsin, arctan as arctan,
    astype as astype, broadcast_to as broadcast_to, cos as cos, cosh as cosh, cumsum as cumsum,
    divide as divide, exp as exp, expand_dims as expand_dims, expm1 as expm1, flip as flip,
    leaky_relu as leaky_relu, log as log, log1p as log1p, log2 as log2, log10 as log10,
    log_sigmoid as log_sigmoid, log_softmax as log_softmax, logaddexp as logaddexp,
    logsumexp as logsumexp, matmul as matmul, matmul_t as matmul_t, max as max, maximum as maximum,
    mean as mean, min as min, minimum as minimum, moveaxis as moveaxis, multiply as multiply,
    negative as negative, positive as positive, power as power, reciprocal as reciprocal,
    relu as relu, reshape as reshape, roll as roll, rule as rule, sigmoid as sigmoid, sin as sin,
    sinh as sinh, softmax as softmax, softplus as softplus, sqrt as sqrt, square as square,
    squeeze as squeeze, std as std, subtract as subtract, sum as sum, swapaxes as swapaxes,
    tan as tan, tanh as tanh, transpose as transpose, var as var, where as where,
)
from .sparse import RowGrad as RowGrad
from .tensor import Tensor as Tensor

if TYPE_CHECKING:
    from . import draw as draw
    from .diagnose import diagnose as diagnose
    from .replay import trace as trace

__version__ = "0.1.0"
# Loaded when they are first asked for, as few programs need them: name → module, if another.
_LATER = {"diagnose": "", "draw": "", "trace": "replay"}
__all__ = sorted([*_LATER, *(  # every name above, but the modules on the way to them
    name for name, value in list(vars().items())
    if not name.startswith("_") and (callable(value) or name in ("nn", "optim")))])


def _later(name: str) -> _Any:
    """Load what is asked for by name, and is not there yet."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _import(f".{_LATER[name] or name}", __name__)
    return getattr(module, name) if _LATER[name] else module


if not TYPE_CHECKING:  # a checker of types is to know which names there are
    __getattr__ = _later


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


def _repr_html_(tensor: Tensor) -> _Any:
    """Be shown by a notebook: type, shape, gradient, and a table of the numbers."""
    return _import(".draw", __name__).tensor_html(tensor)


Tensor._repr_html_ = _repr_html_  # type: ignore[attr-defined]
