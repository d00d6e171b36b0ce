"""No operation ships without a gradient test that was carried out."""

import inspect

import pytest

import tinygrad_w2v as tg
from tinygrad_w2v.testing import check_op
from tinygrad_w2v.testing.invariants import check_gradient
from tinygrad_w2v.testing.ops import OPS

NO_OPS = {"grad", "value_and_grad", "vjp", "jvp", "hvp", "jacobian", "hessian",  # test_functional
          "no_grad", "rule", "debug"}
PUBLIC = sorted(name for name, value in vars(tg).items()
                if inspect.isfunction(value) and not name.startswith("_") and name not in NO_OPS)


@pytest.mark.parametrize("name", PUBLIC)
def test_an_oracle_confirms_derivatives_of(name):
    rows = [spec for spec in OPS if spec.op is getattr(tg, name)]
    assert rows, f"tg.{name} has no row in testing/ops.py"
    assert sum(check_op(spec, [check_gradient], seed=1) for spec in rows) > 0


def test_the_list_of_operations_is_not_empty_by_mistake():
    assert len(PUBLIC) > 70
    assert {"exp", "matmul", "take", "softmax", "einsum"} <= set(PUBLIC)


def test_every_name_of_the_package_is_an_op_or_known():
    others = {name for name, value in vars(tg).items()
              if callable(value) and not name.startswith("_") and not inspect.ismodule(value)
              } - set(PUBLIC) - NO_OPS
    assert others == {"GraphError", "RowGrad", "Tensor"}
