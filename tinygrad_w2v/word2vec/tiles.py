"""Negative sampling as a few large products: a text cut into tiles.

The usual program takes the pairs (c, o) of a text one by one, and makes two vector operations of
each. A *tile* is b words of running text with the m words before and after it. All its pairs lie in
one product of matrices, the b centre vectors times the b + 2m outside vectors, near the diagonal:

    words of the tile              · # #                        b = 4, m = 2
      against                      # · # #                      # a pair, · the word itself
    themselves and                   # # · # #
    their neighbours                   # # · # #

A *band* of weights picks the pairs out, and says how often the original program, which draws the
window of each position from 1 … m, would have taken them. Noise words are drawn once for several
tiles, as more columns of the product. What a row of V or U receives is summed over the tile by the
products themselves, so a word costs one row, and not one for each of its pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..rules import log_sigmoid, matmul_t, softplus
from ..sparse import Array
from .corpus import Corpus

TILE = 16  # b: words in a tile
SHARING = 8  # tiles that share a draw of noise words
NOISE = 64  # N: words in a draw
CHUNK = 1 << 17  # words of the corpus that are thinned, cut into tiles and shuffled at a time


class Tiles(NamedTuple):
    """Tiles of a text: `ids` and `sentence` (k, b + 2m), `noise` (k / SHARING, N) word ids.

    The tile's own words stand in the middle. Words of one sentence have equal numbers in
    `sentence`; places before the first and after the last word have numbers of their own.
    """

    ids: Array
    sentence: Array
    noise: Array

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, start: int, stop: int) -> Tiles:
        """The tiles from `start` to `stop`, multiples of SHARING, with their noise."""
        return Tiles(self.ids[start:stop], self.sentence[start:stop],
                     self.noise[start // SHARING : -(-stop // SHARING)])


def band(b: int, m: int, shrink_windows: bool = True) -> Array:
    """The weights (b, b + 2m) of a tile's pairs: place i against place j of tile and margins.

    At distance k = 1 … m it is (m − k + 1)/m, the share of windows drawn from 1 … m that reach so
    far; without `shrink_windows`, 1. Elsewhere 0.

    >>> band(2, 2)
    array([[0.5, 1. , 0. , 1. , 0.5, 0. ],
           [0. , 0.5, 1. , 0. , 1. , 0.5]], dtype=float32)
    """
    distance = np.abs(np.arange(b)[:, None] + m - np.arange(b + 2 * m))
    weights = (m - distance + 1) / m if shrink_windows else np.ones(distance.shape)
    return np.where((distance > 0) & (distance <= m), weights, 0).astype(np.float32)


def pair_weights(sentence: Array, weights: Array) -> Array:
    """Weights (k, b, b + 2m) of the pairs of k tiles: the band, within one sentence.

    `sentence` (k, b + 2m) are sentence numbers, `weights` (b, b + 2m) the band.
    """
    b, width = weights.shape
    m = (width - b) // 2
    within: Array = weights * (sentence[:, m : m + b, None] == sentence[:, None, :])
    return within


def tile_loss(v: Any, u: Any, z: Any, weights: Array, negative: int) -> Any:
    """Negative sampling over tiles (Mikolov et al. 2013, eq. 4, in expectation over the windows).

        − Σ w_ij log σ(u_jᵀ v_i)  −  Σ K/N (Σ_j w_ij) log σ(−z_xᵀ v_i)

    `v` (k, b, d): the centre vectors of k tiles; `u` (k, b + 2m, d): the outside vectors of tile
    and margins; `z` (g, N, d): those of the noise words, each draw for k/g tiles; `weights`
    (k, b, b + 2m): w. A pair is set against K = `negative` noise words on average: each of N
    words counts K/N. Gives the loss of each position, (k, b); their sum is what is minimised.

    >>> v, u, z = np.ones((1, 1, 2)), np.ones((1, 3, 2)), np.zeros((1, 4, 2))
    >>> loss = tile_loss(v, u, z, band(1, 1)[None], negative=5)  # 2 pairs, 10 noise words
    >>> bool(np.isclose(loss[0, 0], 2 * np.log(1 + np.exp(-2)) + 10 * np.log(2)))
    True
    """
    k, b, d = v.shape
    groups, draws, _ = z.shape
    of_positions = weights.sum(axis=2)
    near = (log_sigmoid(matmul_t(v, u)) * weights).sum(axis=2)
    far = softplus(matmul_t(v.reshape(groups, k // groups * b, d), z)).sum(axis=2)
    return far.reshape(k, b) * (of_positions * (negative / draws)) - near


def tiles_of(corpus: Corpus, keep: Array, power: Array, window: int, rng: np.random.Generator
             ) -> Iterator[tuple[Tiles, float]]:
    """Thin a corpus and cut it into tiles, a chunk at a time, in random order within the chunk.

    Word w stays with probability `keep[w]`; words draw near where others are left out, as in the
    original program, and across the chunks' edges, too. Noise is drawn by the weights `power` (n,),
    one word from each N-th part of them, so that every draw has its share of frequent words.
    Gives the tiles of each chunk (a multiple of SHARING), and the share of the corpus that has been
    read by then.
    """
    m, b = window, TILE
    width, bounds = b + 2 * m, np.cumsum(power)
    ids, sentence = np.zeros(m, np.int32), -1 - np.arange(m, dtype=np.int32)
    for start in range(0, len(corpus), CHUNK):
        stop = min(start + CHUNK, len(corpus))
        text = corpus.ids[start:stop]
        kept = np.flatnonzero(rng.random(len(text), np.float32) < keep[text])
        ids = np.concatenate([ids, text[kept]])
        sentence = np.concatenate([sentence, corpus.sentence_numbers(start, stop)[kept]])
        if stop == len(corpus):  # fill up the last tile, its margin, and tiles that share noise
            blank = -(len(ids) - m) % (b * SHARING) + m
            ids = np.concatenate([ids, np.zeros(blank, np.int32)])
            sentence = np.concatenate([sentence, -1 - m - np.arange(blank, dtype=np.int32)])
        tiles = max(len(ids) - 2 * m, 0) // (b * SHARING) * SHARING
        places = b * rng.permutation(tiles)[:, None] + np.arange(width)
        spots = (np.arange(NOISE) + rng.random((tiles // SHARING, NOISE))) * (bounds[-1] / NOISE)
        noise = np.minimum(np.searchsorted(bounds, spots, side="right"), len(power) - 1)
        chunk = Tiles(ids[places], sentence[places], noise.astype(np.int32))
        yield chunk, stop / len(corpus)
        ids, sentence = ids[tiles * b :], sentence[tiles * b :]  # what is over, and a left margin
