"""Training by negative sampling: steps over tiles, by any number of workers to the same bits.

A step has two rounds. In the first, each *shard*, a fixed number of tiles, gives the gradient of
its loss by the rows of V and U that it looked up. In the second, the rows of each word are summed,
in a fixed order, and the word's row moves once; words are dealt out to *parts* by their ids. What a
shard and a part are does not depend on the number of workers, and no round starts before the last
one has ended, so the result does not depend on it either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from ..sparse import Array
from ..tensor import Tensor
from .blas import one_thread
from .corpus import Corpus
from .rows import PARTS, RowGroups, SharedAdagrad
from .team import Layout, Team
from .tiles import CHUNK, NOISE, SHARING, TILE, Tiles, band, pair_weights, tile_loss, tiles_of


class Shards:
    """What one of several workers does: the gradient of some shards, the steps of some parts.

    The arrays, shared by all: the tables `V` and `U` (n, d) with what their optimisers remember; a
    chunk's tiles, `ids`, `sentence`, `noise`; the gradient rows of a step, `v_rows` and `u_rows`;
    and `losses` (shards, 2), loss and weight of the pairs of each shard.
    """

    def __init__(self, arrays: dict[str, Array], number: int, of: int, *, window: int,
                 negative: int, shrink_windows: bool, tiles: int, shards: int):
        self.arrays, self.number, self.of = arrays, number, of
        self.window, self.negative, self.tiles, self.shards = window, negative, tiles, shards
        self.band = band(TILE, window, shrink_windows)
        # glibc gives large blocks back to the system, which clears them when they are wanted again.
        # What is large it learns from the blocks that it sees freed: this one keeps the others.
        np.empty(8 << 20, np.uint8)
        self.chunk = Tiles(arrays["ids"], arrays["sentence"], arrays["noise"])
        self.optimisers = {table: SharedAdagrad(arrays, table) for table in "VU"}

    @staticmethod
    def layout(n: int, d: int, window: int, tiles: int, shards: int, words: int) -> Layout:
        """Name the arrays for n words, vectors of d, and chunks of no more than `words` words."""
        width, step = TILE + 2 * window, tiles * shards
        most = (min(words, CHUNK) + 3 * window) // (TILE * SHARING) * SHARING + 3 * SHARING
        tables: Layout = {"V": ((n, d), "f4"), "U": ((n, d), "f4")}
        return {**tables, **SharedAdagrad.memory("V", n, d), **SharedAdagrad.memory("U", n, d),
                "ids": ((most, width), "i4"), "sentence": ((most, width), "i4"),
                "noise": ((most // SHARING, NOISE), "i4"), "losses": ((shards, 2), "f8"),
                "v_rows": ((step * TILE, d), "f4"),
                "u_rows": ((step * width + step // SHARING * NOISE, d), "f4")}

    def gradients(self, start: int, stop: int) -> None:
        """The gradient of the tiles from `start` to `stop` of the chunk: this worker's shards."""
        middle = slice(self.window, self.window + TILE)
        V, U, losses = self.arrays["V"], self.arrays["U"], self.arrays["losses"]
        places = self.places(stop - start)
        for shard in range(self.number, self.shards, self.of):
            first = start + shard * self.tiles
            part = self.chunk.part(first, min(first + self.tiles, stop))
            losses[shard] = 0
            if not len(part):
                continue
            weights = pair_weights(part.sentence, self.band)
            looked_up = (V, part.ids[:, middle]), (U, part.ids), (U, part.noise)
            v, u, z = [Tensor(np.take(table, ids, axis=0), requires_grad=True, copy=False)
                       for table, ids in looked_up]
            loss = tile_loss(v, u, z, weights, self.negative)
            loss.backward(np.ones(loss.shape))
            for leaf, rows, per_tile in zip((v, u, z), places, (1, 1, SHARING), strict=True):
                begin = shard * self.tiles // per_tile
                rows[begin : begin + len(leaf.data)] = leaf.grad
            losses[shard] = [x.sum(dtype=np.float64) for x in (loss.data, weights)]

    def places(self, tiles: int) -> tuple[Array, Array, Array]:
        """Where the gradients of a step of so many tiles lie: by v, by u, by the noise words."""
        d, width = self.arrays["V"].shape[1], TILE + 2 * self.window
        u = tiles * width
        z = u + tiles // SHARING * NOISE
        return (self.arrays["v_rows"][: tiles * TILE].reshape(tiles, TILE, d),
                self.arrays["u_rows"][:u].reshape(tiles, width, d),
                self.arrays["u_rows"][u:z].reshape(-1, NOISE, d))

    def move(self, start: int, stop: int, lr: float, step: int) -> None:
        """Move the rows of this worker's parts by the gradients of the tiles `start` to `stop`."""
        part = self.chunk.part(start, stop)
        v = part.ids[:, self.window : self.window + TILE].reshape(-1)
        u = np.concatenate([part.ids.reshape(-1), part.noise.reshape(-1)])
        for table, ids, rows in (("U", u, self.arrays["u_rows"]), ("V", v, self.arrays["v_rows"])):
            for share in range(self.number, PARTS, self.of):
                groups = RowGroups(ids, share, PARTS)
                self.optimisers[table].move(self.arrays[table], groups, rows, lr, step, share)


class NegativeSampling:
    """Moves V and U over a corpus, a step at a time.

    `keep` (n,) is the share of each word's occurrences that is used, `power` (n,) the weight with
    which it is drawn as noise, `seed` makes the numbers of all passes. A step has `shards` shards
    of `shard` words; more workers than that have nothing to do. `team` starts the workers: V and U
    are then Tensors in the memory that all share, and `state` is what the optimisers remember.
    """

    name = "loss"

    @property
    def plan(self) -> list[int]:
        """The numbers on which it depends what a step is."""
        return [self.shards, PARTS, self.tiles, TILE, SHARING, NOISE, CHUNK]

    def __init__(self, V: Tensor, U: Tensor, corpus: Corpus, *, keep: Array, power: Array,
                 window: int, negative: int, shrink_windows: bool, seed: int, shard: int,
                 shards: int):
        self.V, self.U, self.corpus, self.window, self.seed = V, U, corpus, window, seed
        self.keep, self.power = keep.astype(np.float32), power
        self.shards, self.tiles = shards, -(-shard // (TILE * SHARING)) * SHARING  # … in a shard
        self.settings = {"window": window, "negative": negative, "shrink_windows": shrink_windows,
                         "tiles": self.tiles, "shards": shards}
        n, d = V.shape
        self.state: dict[str, Array] = {}
        for table in "VU":
            self.state |= {name: np.zeros(shape, kind) for name, (shape, kind)
                           in SharedAdagrad.memory(table, n, d).items()}
            SharedAdagrad(self.state, table).start()
        self.number = 0  # steps made

    @contextmanager
    def team(self, workers: int) -> Iterator[None]:
        """Start the workers; at the end of the block V, U and `state` are what they made."""
        n, d = self.V.shape
        layout = Shards.layout(n, d, self.window, self.tiles, self.shards, len(self.corpus))
        job = f"{Shards.__module__}:{Shards.__name__}"
        crew = Team(min(workers, self.shards), layout, job, self.settings)
        with one_thread(), crew as self._team:
            arrays = self._team.arrays
            for name, array in self.state.items():
                arrays[name][...] = array
            self.state = {name: arrays[name] for name in self.state}
            with self.V.edit(), self.U.edit():
                pass  # graphs that saved them notice that others take their place
            arrays["V"][...] = self.V.data
            self.V = Tensor(arrays["V"], requires_grad=True, copy=False)
            arrays["U"][...] = self.U.data
            self.U = Tensor(arrays["U"], requires_grad=True, copy=False)
            yield

    def closing(self) -> Iterator[float]:
        """Do what is left to do after the last pass: nothing."""
        return iter(())

    def steps(self, epoch: int, rate: Callable[[float], float], skip: int = 0
              ) -> Iterator[tuple[float, float, float]]:
        """Make the steps of a pass, but for the first `skip`, which were made before.

        `rate` gives the learning rate for a share of the pass. Each step gives its loss, the weight
        of its pairs, and the share of the pass that is done.
        """
        rng, arrays = np.random.default_rng([self.seed, epoch]), self._team.arrays
        size, number, before = self.tiles * self.shards, 0, 0.0
        for chunk, read in tiles_of(self.corpus, self.keep, self.power, self.window, rng):
            for name, array in zip(("ids", "sentence", "noise"), chunk, strict=True):
                arrays[name][: len(array)] = array
            for start in range(0, len(chunk), size):
                number += 1
                if number <= skip:
                    continue
                stop = min(start + size, len(chunk))
                begin, done = (before + (read - before) * i / len(chunk) for i in (start, stop))
                self._team.call("gradients", start, stop)
                loss, weight = arrays["losses"].sum(axis=0).tolist()
                if not np.isfinite(loss):
                    raise FloatingPointError(f"the loss became {loss}")
                with self.V.edit(), self.U.edit():  # graphs that saved them notice
                    self._team.call("move", start, stop, float(rate(begin)), self.number)
                for optimiser in self._team.own.optimisers.values():
                    optimiser.finish(self.number)
                self.number += 1
                yield loss, weight, done
            before = read
