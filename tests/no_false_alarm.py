"""Right gradients are never called wrong: 100 functions and more, each at many points.

    python tests/no_false_alarm.py [SEEDS]

checks every function at SEEDS points (100), drawn anew for each, in double and in single precision,
and prints how many checks were made and every false alarm. The suite runs one seed of it.
"""

import argparse
import sys
import time

import numpy as np

import tinygrad_w2v as tg
from tinygrad_w2v.testing import check_grad, check_vjp
from tinygrad_w2v.testing.invariants import POSITIVE, REAL, UNIT, lattice
from tinygrad_w2v.testing.ops import OPS

IDS = np.array([2, 0, 2, 1])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def add_at(g, ids, shape):
    out = np.zeros(shape, g.dtype)
    np.add.at(out, ids, g)
    return out


def softmax_vjp(g, x):
    p = softmax(x)
    return p * (g - (g * p).sum(axis=-1, keepdims=True))


def solve_vjp(g, a, b):
    b_bar = np.linalg.solve(a.T, g)
    return -np.outer(b_bar, np.linalg.solve(a, b)), b_bar


def well_posed(a):
    return a + 4 * np.eye(3)


# ── programs of Tensors, with what cancels, what is shared, what is ill-conditioned among them ────

PROGRAMS = {
    "softmax adds up to 1": (lambda x: tg.softmax(x).sum(), REAL, (5,)),
    "softmax adds up to 1, row by row": (lambda x: tg.softmax(x).sum(axis=-1), REAL, (2, 3)),
    "sin² + cos²": (lambda x: tg.sin(x)**2 + tg.cos(x)**2, REAL, (2, 3)),
    "cosh² − sinh²": (lambda x: tg.cosh(x)**2 - tg.sinh(x)**2, REAL, (4,)),
    "x − x": (lambda x: x - x, REAL, (3,)),
    "x · 3.3 − x · 1.1 − x · 2.2": (lambda x: x * 3.3 - x * 1.1 - x * 2.2, REAL, (3,)),
    "log exp x − x": (lambda x: tg.log(tg.exp(x)) - x, REAL, (3,)),
    "x/x": (lambda x: x / x, REAL, (2, 3)),
    "centred, added up": (lambda x: (x - x.mean()).sum(), REAL, (2, 3)),
    "variance of a shift": (lambda x, c: (x + c).var(), REAL, (5,), ()),
    "large constant": (lambda x: x * 1e-9 + 1e6, REAL, (3,)),
    "large factor": (lambda x: tg.sin(1e6 * x), REAL, (3,)),
    "tiny factor": (lambda x: tg.exp(1e-8 * x), REAL, (3,)),
    "expm1 by hand": (lambda x: (tg.exp(x * 1e-6) - 1) * 1e6, REAL, (3,)),
    "layer norm": (lambda x: (x - tg.mean(x, axis=-1, keepdims=True)) / tg.sqrt(
        tg.var(x, axis=-1, keepdims=True) + 1e-5),
                   REAL, (2, 4)),
    "standardised": (lambda x: (x - x.mean()) / x.std(), REAL, (5,)),
    "unit vectors": (lambda x: x / tg.norm(x, axis=-1, keepdims=True), REAL, (3, 4)),
    "cosine": (lambda x, y: (x * y).sum() / tg.norm(x) / tg.norm(y), REAL, (4,), (4,)),
    "cosine with itself": (lambda x: (x * x).sum() / tg.norm(x)**2, REAL, (4,)),
    "cross-entropy": (lambda z: -tg.log_softmax(z)[np.arange(4), IDS].mean(), REAL, (4, 3)),
    "attention": (lambda q, k, v: tg.softmax(q @ k.T / 2) @ v, REAL, (2, 3), (4, 3), (4, 2)),
    "perceptron": (lambda x, w, b, v: tg.tanh(x @ w + b) @ v, REAL, (3, 2), (2, 4), (4,), (4,)),
    "negative sampling": (lambda v, u: -tg.log_sigmoid(u @ v).sum(), REAL, (3,), (5, 3)),
    "looked up twice": (lambda t: (t[IDS] * t[IDS[::-1]]).sum(axis=1), REAL, (3, 2)),
    "product of many": (lambda x: tg.prod(x), REAL, (6,)),
    "powers": (lambda x, y: x**y, POSITIVE, (3,), (2, 3)),
    "logsumexp − max": (lambda x: tg.logsumexp(x) - x.max(), REAL, (4,)),
    "a kink apart": (lambda x: tg.relu(x) * tg.abs(x), REAL, (2, 3)),
    "arcs": (lambda x: tg.arcsin(x) + tg.arccos(x), UNIT, (3,)),
    "recurrence": (lambda x, w: tg.tanh(tg.tanh(tg.tanh(x @ w) @ w) @ w), REAL, (3,), (3, 3)),
    "no elements": (lambda x: x.sum(axis=0) * 2, REAL, (0, 3)),
    "constant": (lambda x: tg.where(x > 9, x, 1.0), REAL, (3,)),
}

# ── functions of NumPy, with the vjp somebody wrote ───────────────────────────────────────────────

PAIRS = {
    "tanh": (np.tanh, lambda g, x: g * (1 - np.tanh(x)**2), REAL, (2, 3)),
    "sigmoid": (sigmoid, lambda g, x: g * sigmoid(x) * sigmoid(-x), REAL, (3,)),
    "relu": (lambda x: np.maximum(x, 0), lambda g, x: g * (x > 0), REAL, (4,)),
    "abs": (np.abs, lambda g, x: g * np.sign(x), REAL, (2, 3)),
    "cbrt": (np.cbrt, lambda g, x: g / (3 * np.cbrt(x)**2), REAL, (3,)),
    "hypot": (np.hypot, lambda g, x, y: (g * x / np.hypot(x, y), g * y / np.hypot(x, y)),
              REAL, (3,), (3,)),
    "arctan2": (np.arctan2, lambda g, y, x: (g * x / (x * x + y * y), -g * y / (x * x + y * y)),
                REAL, (4,), (4,)),
    "logaddexp": (np.logaddexp, lambda g, x, y: (g * sigmoid(x - y), g * sigmoid(y - x)),
                  REAL, (3,), (3,)),
    "softmax": (softmax, softmax_vjp, REAL, (2, 4)),
    "matmul": (np.matmul, lambda g, x, y: (g @ y.T, x.T @ g), REAL, (2, 3), (3, 4)),
    "bias": (lambda x, b: x + b, lambda g, x, b: (g.copy(), g.sum(axis=0)), REAL, (4, 3), (3,)),
    "mean": (lambda x: x.mean(axis=1), lambda g, x: np.repeat(g[:, None], 4, 1) / x.dtype.type(4),
             REAL, (2, 4)),
    "max": (lambda x: x.max(axis=0), lambda g, x: g * (x == x.max(axis=0)), REAL, (3, 2)),
    "sort": (np.sort, lambda g, x: add_at(g, np.argsort(x), x.shape), REAL, (5,)),
    "cumsum": (np.cumsum, lambda g, x: np.cumsum(g[::-1])[::-1].copy(), REAL, (5,)),
    "take": (lambda x: x[IDS], lambda g, x: add_at(g, IDS, x.shape), REAL, (3, 2)),
    "trace": (np.trace, lambda g, x: g * np.eye(3, dtype=x.dtype), REAL, (3, 3)),
    "solve": (lambda a, b: np.linalg.solve(well_posed(a), b),
              lambda g, a, b: solve_vjp(g, well_posed(a), b), UNIT, (3, 3), (3,)),
    "det": (np.linalg.det, lambda g, a: g * np.linalg.det(a) * np.linalg.inv(a).T, REAL, (3, 3)),
    "inv": (lambda a: np.linalg.inv(well_posed(a)), lambda g, a: -(
        np.linalg.inv(well_posed(a)).T @ g @ np.linalg.inv(well_posed(a)).T), UNIT, (3, 3)),
    "convolve": (np.convolve, lambda g, x, k: (np.correlate(g, k, "valid"),
                                               np.correlate(g, x, "valid")), REAL, (5,), (3,)),
    "sinc": (np.sinc, lambda g, x: g * (np.cos(np.pi * x) - np.sinc(x)) / x, REAL, (4,)),
    "rosenbrock": (lambda x, y: (1 - x)**2 + 100 * (y - x * x)**2, lambda g, x, y: (
        g * (-2 * (1 - x) - 400 * x * (y - x * x)), 200 * g * (y - x * x)), REAL, (), ()),
}


def cases(seed):
    """Every function at a point of its own: name, and what is to be called."""
    rng = np.random.default_rng(seed)
    dtype = np.float64 if seed % 3 else np.float32
    for spec in OPS:
        call = spec.calls[seed % len(spec.calls)]
        ref = spec.analytic and spec.bind(call, spec.analytic)
        ref = None if seed % 2 else ref
        yield str(spec), check_grad, (spec.bind(call),), spec.draw(call, rng, dtype), {"ref": ref}
    for name, (f, domain, *shapes) in PROGRAMS.items():
        yield name, check_grad, (f,), lattice(rng, [(domain, s) for s in shapes], dtype), {}
    for name, (f, vjp, domain, *shapes) in PAIRS.items():
        arrays = lattice(rng, [(domain, s) for s in shapes], float)
        yield name, check_vjp, (f, vjp), arrays, {}


def false_alarms(seeds):
    """Check everything at every seed; give how many checks were made, and what was raised."""
    made, alarms = 0, []
    for seed in seeds:
        for name, check, functions, arrays, options in cases(seed):
            made += 1
            try:
                check(*functions, *arrays, seed=seed, **options)
            except Exception as error:
                alarms.append((seed, name, f"{type(error).__name__}: {error}"))
    return made, alarms


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seeds", type=int, nargs="?", default=100, help="points (default: 100)")
    start, seeds = time.perf_counter(), range(parser.parse_args().seeds)
    made, alarms = false_alarms(seeds)
    for seed, name, error in alarms:
        print(f"seed {seed}, {name}: {error}\n")
    functions = len({name for name, *_ in cases(0)})
    print(f"{functions} functions at {len(seeds)} points: {made} checks in "
          f"{time.perf_counter() - start:.0f} s, {len(alarms)} false alarm(s)")
    sys.exit(bool(alarms))
