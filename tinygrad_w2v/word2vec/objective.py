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
from ..rules import exp, log, log_sigmoid, log_softmax, matmul_t
from ..sparse import Array
from ..tensor import Tensor, as_plain
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


def sampled_loss(v: Any, U: Any, bias: Any, seen: Array, counts: Array, drawn: Array, log_q: Array
                 ) -> Any:
    """E1 of a block of centre words, as `exact_loss`, with normalisers estimated from a sample.

    The words seen beside c stand in Σ_x exp s_cx themselves, the others by those of them that were
    drawn, each for 1/q_x words, where q_x is the probability that x is drawn:

        Z_c ≈ Σ_{o seen} exp s_co + Σ_{x drawn, not seen} exp(s_cx − log q_x)

    This is importance sampling (Bengio and Senécal 2008) with one sample for all words of a block,
    sampled softmax (Jean et al. 2015), "with the logQ correction". The estimate of Z_c is right on
    average; that of its logarithm, and of the gradient, in the limit of many words drawn. With all
    of them drawn for certain (log q = 0) it is `exact_loss`.

    `v` (k, d), `U` (n, d), `bias` (n,) or None; `seen` and `counts` (k, w), the words beside each
    centre word, each once, and how often, filled up by words with a count of 0; `drawn` (s,), each
    once, and `log_q` (s,).

    >>> seen, counts = np.array([[0, 1]]), np.array([[1.0, 3.0]])
    >>> nobody = np.array([], int), np.array([])
    >>> float(sampled_loss(np.zeros((1, 3)), np.ones((2, 3)), None, seen, counts, *nobody))
    2.772588722239781
    """
    near_bias, far_bias = (0, 0) if bias is None else (take(bias, seen), take(bias, drawn))
    normaliser, observed = sampled(v, take(U, seen), near_bias, take(U, drawn), far_bias - log_q,
                                   weights(seen, counts, drawn, log_q, len(U)), counts)
    return (normaliser * counts.sum(axis=1)).sum() - observed


def weights(seen: Array, counts: Array, drawn: Array, log_q: Array, n: int) -> Array:
    """What the words seen count in a normaliser, beside what those of them count that were drawn.

    A word that was not drawn counts 1. One that was counts 1/q already, and so 1 − 1/q here. What
    was filled up counts 0.
    """
    already = np.zeros(n)
    already[drawn] = np.exp(-log_q)
    weight: Array = np.where(counts > 0, 1 - already[seen], 0).astype(counts.dtype)
    return weight


def sampled(v: Any, near: Any, near_bias: Any, far: Any, far_bias: Any, weight: Array,
            counts: Array) -> tuple[Any, Any]:
    """The two parts of `sampled_loss`: each log Z_c (k,), and Σ_co C[c, o] s_co.

    `near` (k, w, d) are the vectors of the words seen, and `weight` (k, w) what they count in Z_c;
    `far` (s, d) those of the words drawn, and `far_bias` (s,) has their log q taken off.
    """
    seen = (near @ v.reshape(*v.shape, 1)).reshape(counts.shape) + near_bias
    drawn = matmul_t(v, far) + far_bias
    with np.errstate(over="ignore"):
        total = exp(drawn).sum(axis=1) + (exp(seen) * weight).sum(axis=1)
    if np.all((total > 1e-30) & (total < 1e30)):
        return log(total), (seen * counts).sum()
    peak = np.maximum(*[np.max(as_plain(s), axis=1, initial=-np.inf) for s in (drawn, seen)])
    low, high = seen - peak[:, None], drawn - peak[:, None]
    total = exp(high).sum(axis=1) + (exp(low) * weight).sum(axis=1)
    return log(total) + peak, (seen * counts).sum()


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
