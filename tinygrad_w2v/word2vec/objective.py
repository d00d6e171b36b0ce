"""The objective of skip-gram: E1–E3 as Tensor expressions, and the counts that make E1 cheap.

E1 sums log P(o|c) over the positions of a text, but a pair (c, o) contributes the same wherever it
stands. With C[c, o] the number of times o stands within m words of c,

    J = −(1/T) Σ_c Σ_o C[c, o] · log P(o|c)

so that one pass over the text counts, and every pass over the objective after that costs the same
however long the text was.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..derived import take
from ..rules import log_sigmoid, log_softmax
from ..sparse import Array
from ..tensor import Tensor
from .counting import CoOccurrences as CoOccurrences


def log_probabilities(v: Any, U: Any, bias: Any = None) -> Any:
    """Give log P(o|c) for the centre vectors `v` (k, d) and every word o of `U` (n, d): (k, n).

    E3: ``u_oᵀ v_c − log Σ_x exp(u_xᵀ v_c)``, with ``+ bias_o`` in the exponents if there is one.

    >>> log_probabilities(np.zeros((1, 3)), np.ones((2, 3)))
    array([[-0.69314718, -0.69314718]])
    """
    scores = v @ np.transpose(U)
    return log_softmax(scores if bias is None else scores + bias, axis=1)


def exact_loss(v: Any, U: Any, bias: Any, counts: Any) -> Any:
    """−Σ_c Σ_o C[c, o] log P(o|c) for a block of centre words (E1, not yet divided by T).

    `v` (k, d), `U` (n, d), `bias` (n,) or None, `counts` (k, n).

    >>> float(exact_loss(np.zeros((1, 3)), np.ones((2, 3)), None, np.array([[1.0, 3.0]])))
    2.772588722239781
    """
    return 0 - (counts * log_probabilities(v, U, bias)).sum()  # of nothing: 0, where −0 is not


def negative_loss(V: Tensor, U: Tensor, centre: Array, outside: Array, noise: Array) -> Tensor:
    """−Σ log σ(u_oᵀ v_c) − Σ log σ(−u_xᵀ v_c): negative sampling (Mikolov et al. 2013, eq. 4).

    It replaces the sum over all words in E2 by k words x drawn at random for each pair (c, o).
    `centre`, `outside` (pairs,) and `noise` (pairs, k) are word ids.
    """
    v = take(V, centre[:, None])
    drawn = (v * take(U, noise)).sum(axis=2)
    together = (v * take(U, outside[:, None])).sum(axis=2)
    loss: Tensor = 0 - log_sigmoid(together).sum() - log_sigmoid(-drawn).sum()
    return loss
