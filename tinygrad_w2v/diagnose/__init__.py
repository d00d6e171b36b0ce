"""Problems 1 and 2, measured: saturation (E8), and inputs that are not zero-centred (E10).

`diagnose` runs a model once, forwards and backwards, and looks on (`watch.py`); layers are what
`layers.find` finds in the graph, so that any model of Tensors will do. It changes nothing, and says
what it cannot see. `Path` records the way of an optimiser.

>>> import numpy as np
>>> import tinygrad_w2v as tg
>>> rng = np.random.default_rng(0)
>>> model = tg.nn.MLP([20, 30, 30, 2], activation="tanh", rng=rng,
...                   init=lambda n, m, rng: 3 * tg.nn.lecun_normal(n, m, rng))
>>> x, labels = rng.normal(size=(200, 20)), rng.integers(2, size=200)
>>> report = tg.diagnose(model, x, labels, tg.nn.cross_entropy)
>>> [(layer.activation, layer.saturated and round(layer.saturated, 2)) for layer in report.layers]
[('tanh', 0.47), ('tanh', 0.41), ('identity', None)]
"""

import sys
from inspect import signature
from types import ModuleType
from typing import Any

from .diagnosis import diagnose as diagnose
from .measures import (
    agreement as agreement,
    condition as condition,
    expected_agreement as expected_agreement,
    expected_condition as expected_condition,
    participation as participation,
)
from .paths import Path as Path
from .report import LayerReport as LayerReport, Report as Report, aligned as aligned


class _Callable(ModuleType):
    """A module that is called as its function is, so that the name `diagnose` means one thing.

    For ``tg.diagnose`` is this module as soon as anybody has imported it.
    """

    def __call__(self, *args: Any, **keywords: Any) -> Report:
        """Measure problems 1 and 2: help(tg.diagnose.diagnose) tells all."""
        return diagnose(*args, **keywords)


__signature__ = signature(diagnose)  # for help, and for notebooks that complete arguments
sys.modules[__name__].__class__ = _Callable
