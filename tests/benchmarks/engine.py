"""The engine against its peers, and against derivatives written by hand in NumPy.

    python tests/benchmarks/engine.py [--only PART …] [--rounds 15] [--threads 1]

Each row is one computation, forwards and backwards. In a round everybody does it in turn, in one
process; a ratio is the median, over the rounds, of our time over theirs in the same round. Below 1
we are faster. The first column is our own median time. A gap: the peer has no such operation, or is
not installed (``pip install '.[bench]'``). With one thread the process is held to one core and its
processor time is counted, so that other programs disturb less; with more it is the clock's.

Parts: `small` operations on 8 numbers, and on single ones against micrograd; `mlp`, a step of
training with SGD, float32; `large`, arrays of 10 MB, against NumPy by hand; `memory`, the peak over
what was there before, against PyTorch; `growth`, the cost of an operation in graphs of 10³ to 10⁶;
`import`, over NumPy's own.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

PEERS = {"torch": "PyTorch", "mygrad": "MyGrad", "autograd": "HIPS autograd", "jax": "JAX, jit",
         "micrograd": "micrograd", "hand": "by hand"}
Case = dict[str, Callable[[], Any]]


def peer(name: str) -> Any:
    """A peer's module, or None if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


# ── measuring ─────────────────────────────────────────────────────────────────────────────────────


def seconds(run: Callable[[], Any], times: int, clock: Callable[[], float]) -> float:
    """Time so many runs, and give the mean."""
    began = clock()
    for _ in range(times):
        run()
    return (clock() - began) / times


def compare(case: Case, rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Time everybody in turn, round by round, some 20 ms each."""
    times = {}
    for name, run in case.items():
        run()  # what is done but once: compiling, reserving memory
        times[name] = max(1, int(0.02 / max(seconds(run, 1, clock), 1e-6)))
    found: dict[str, list[float]] = {name: [] for name in case}
    for _ in range(rounds):
        for name, run in case.items():
            found[name].append(seconds(run, times[name], clock))
    return found


def show(title: str, cases: Iterator[tuple[str, Case]], rounds: int, clock: Any) -> None:
    """Print a table of ratios, a row as soon as it is measured."""
    columns: list[str] = []
    for name, case in cases:
        if not columns:
            columns = [p for p in PEERS if p in case]
            print(f"\n| {title} | ours | {' | '.join(PEERS[p] for p in columns)} |")
            print("|---|---|" + "---|" * len(columns), flush=True)
        found = compare(case, rounds, clock)
        ours = found["ours"]
        ratios = [f"{statistics.median(a / b for a, b in zip(ours, found[p], strict=True)):.2f}"
                  if p in found else "" for p in columns]
        print(f"| {name} | {statistics.median(ours) * 1e6:,.1f} µs | {' | '.join(ratios)} |",
              flush=True)


# ── small operations ──────────────────────────────────────────────────────────────────────────────


def small() -> Iterator[tuple[str, Case]]:
    """An operation on 8 numbers, its sum, and the walk back to both operands."""
    import numpy as np

    import tinygrad_w2v as tg

    a, b = np.random.default_rng(0).uniform(0.5, 1.5, (2, 8))
    torch, mygrad, autograd = peer("torch"), peer("mygrad"), peer("autograd")
    anp = peer("autograd.numpy")

    def chain(x: Any) -> Any:
        for _ in range(100):
            x = x * 1.01
        return x

    programs = {"x · y": lambda m, x, y: x * y, "x + y": lambda m, x, y: x + y,
                "exp x": lambda m, x, y: m.exp(x), "tanh x": lambda m, x, y: m.tanh(x),
                "100 multiplications": lambda m, x, y: chain(x)}
    for name, f in programs.items():
        yield name, {
            "ours": stateful(lambda m, x, y, f=f: f(m, x, y).sum().backward(), tg,
                             [tg.Tensor(v, requires_grad=True) for v in (a, b)], "zero_grad"),
            **({"torch": stateful(lambda m, x, y, f=f: f(m, x, y).sum().backward(), torch,
                                  [torch.tensor(v, requires_grad=True) for v in (a, b)])}
               if torch else {}),
            **({"mygrad": stateful(lambda m, x, y, f=f: f(m, x, y).sum().backward(), mygrad,
                                   [mygrad.tensor(v) for v in (a, b)], "null_grad")}
               if mygrad else {}),
            **({"autograd": by_hips(autograd.grad(
                lambda x, y, f=f: anp.sum(f(anp, x, y)), (0, 1)), a, b)} if autograd else {})}


def stateful(step: Callable[..., Any], module: Any, leaves: list[Any], forget: str = ""
             ) -> Callable[[], Any]:
    """A run of a program whose gradients are left in its leaves, which are made to forget first."""
    def run() -> None:
        for leaf in leaves:
            if forget:
                getattr(leaf, forget)()
            else:
                leaf.grad = None
        step(module, *leaves)
    return run


def by_hips(gradient: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """A run of a gradient function; HIPS autograd warns of operands that a program leaves out."""
    return lambda: gradient(*arguments)


def scalars() -> Iterator[tuple[str, Case]]:
    """A neuron of 8 inputs, number by number: what micrograd is made for."""
    import tinygrad_w2v as tg

    engine = peer("micrograd.engine")

    def neuron(value: Callable[[float], Any]) -> Callable[[], Any]:
        xs = [value(0.1 * i) for i in range(8)]
        ws = [value(0.5 - 0.1 * i) for i in range(8)]

        def run() -> None:
            z = xs[0] * ws[0]
            for x, w in zip(xs[1:], ws[1:], strict=True):
                z = z + x * w
            z.relu().backward()
        return run

    yield "a neuron of 8 inputs, 16 numbers", {
        "ours": neuron(lambda v: tg.Tensor(v, requires_grad=True)),
        **({"micrograd": neuron(engine.Value)} if engine else {})}


# ── a step of a multilayer perceptron ─────────────────────────────────────────────────────────────


def mlp() -> Iterator[tuple[str, Case]]:
    """Forwards, cross-entropy, backwards, and a step of SGD."""
    for sizes, batch, activation in (
            ([784, 256, 10], 128, "relu"), ([784, 256, 10], 32, "relu"),
            ([784, 256, 10], 1024, "relu"), ([784, 256, 10], 128, "tanh"),
            ([784, 1024, 1024, 1024, 10], 128, "relu")):
        name = f"{batch} × {' → '.join(map(str, sizes))}, {activation}"
        yield name, dict(steps(sizes, batch, activation))


def steps(sizes: list[int], batch: int, activation: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Everybody's step, from the same weights on the same data."""
    import numpy as np

    import tinygrad_w2v as tg

    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, sizes[0])).astype(np.float32)
    labels, lr = rng.integers(0, sizes[-1], batch), 1e-3
    model = tg.nn.MLP(sizes, activation, dtype=np.float32)
    start = [p.numpy() for p in model.parameters()]
    optimizer, x_ours = tg.optim.SGD(model.parameters(), lr), tg.Tensor(x)

    def ours() -> None:
        loss = tg.nn.cross_entropy(model(x_ours), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    yield "ours", ours
    yield "hand", by_hand([p.copy() for p in start], x, labels, activation, lr)
    if torch := peer("torch"):
        yield "torch", by_torch(torch, start, x, labels, activation, lr)
    if mygrad := peer("mygrad"):
        from mygrad.nnet.activations import relu as mygrad_relu
        from mygrad.nnet.losses import softmax_crossentropy

        weights = [mygrad.tensor(p.copy()) for p in start]
        g = mygrad_relu if activation == "relu" else mygrad.tanh

        def by_mygrad() -> None:
            h = forward(x, weights, g)
            softmax_crossentropy(h, labels).backward()
            for w in weights:
                w.data -= lr * w.grad
                w.null_grad()

        yield "mygrad", by_mygrad
    if peer("autograd"):
        import autograd
        import autograd.numpy as anp

        values = [p.copy() for p in start]
        gradient = autograd.grad(lambda p: softmax_loss(anp, forward(
            x, p, activation_of(anp, activation)), labels))

        def hips() -> None:
            for w, slope in zip(values, gradient(values), strict=True):
                w -= lr * slope

        yield "autograd", hips
    if peer("jax"):
        import jax
        import jax.numpy as jnp

        slopes = jax.grad(lambda p: softmax_loss(jnp, forward(
            x, p, activation_of(jnp, activation)), labels))
        moved = jax.jit(lambda p: [w - lr * g for w, g in zip(p, slopes(p), strict=True)])
        state = [[jnp.asarray(p) for p in start]]

        def jitted() -> None:
            state[0] = jax.block_until_ready(moved(state[0]))

        yield "jax", jitted


def forward(x: Any, parameters: list[Any], g: Callable[[Any], Any]) -> Any:
    """The logits of a multilayer perceptron, in anybody's arrays."""
    for k in range(0, len(parameters), 2):
        x = x @ parameters[k] + parameters[k + 1]
        x = g(x) if k + 2 < len(parameters) else x
    return x


def activation_of(module: Any, name: str) -> Callable[[Any], Any]:
    """The activation, of a module with NumPy's names."""
    return module.tanh if name == "tanh" else lambda x: module.maximum(x, 0)


def softmax_loss(module: Any, logits: Any, labels: Any) -> Any:
    """Mean cross-entropy, with a module that has NumPy's names."""
    shifted = logits - module.max(logits, axis=1, keepdims=True)
    log_p = shifted - module.log(module.sum(module.exp(shifted), axis=1, keepdims=True))
    return -module.mean(log_p[module.arange(len(labels)), labels])


def by_torch(torch: Any, start: list[Any], x: Any, labels: Any, activation: str, lr: float
             ) -> Callable[[], Any]:
    """The step in PyTorch, with its own optimiser."""
    weights = [torch.tensor(p, requires_grad=True) for p in start]
    optimizer = torch.optim.SGD(weights, lr)
    x, labels = torch.tensor(x), torch.tensor(labels)
    g = torch.relu if activation == "relu" else torch.tanh

    def run() -> None:
        loss = torch.nn.functional.cross_entropy(forward(x, weights, g), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return run


def by_hand(weights: list[Any], x: Any, labels: Any, activation: str, lr: float
            ) -> Callable[[], Any]:
    """The step as one writes it with derivatives on paper; what can be done in place, is."""
    import numpy as np

    rows = np.arange(len(labels))

    def run() -> None:
        inputs = [x]
        for k in range(0, len(weights), 2):
            z = inputs[-1] @ weights[k]
            z += weights[k + 1]
            if k + 2 < len(weights):
                z = np.maximum(z, 0, out=z) if activation == "relu" else np.tanh(z, out=z)
            inputs.append(z)
        logits = inputs.pop()
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits)
        total = p.sum(axis=1, keepdims=True)
        _ = np.mean(np.log(total[:, 0]) - logits[rows, labels])
        p /= total
        p[rows, labels] -= 1
        p /= len(labels)
        g = p
        for k in range(len(weights) - 2, -1, -2):
            h = inputs.pop()
            by_weight, by_bias = h.T @ g, g.sum(axis=0)
            if k:
                g = g @ weights[k].T
                g *= h > 0 if activation == "relu" else 1 - h * h
            weights[k] -= lr * by_weight
            weights[k + 1] -= lr * by_bias
    return run


# ── large arrays ──────────────────────────────────────────────────────────────────────────────────


def large() -> Iterator[tuple[str, Case]]:
    """10 MB of float32, against derivatives by hand, each step written once, as one would."""
    import numpy as np

    import tinygrad_w2v as tg

    rng = np.random.default_rng(0)
    n, k = 2560, 1024
    x, y = rng.uniform(0.5, 1.5, (2, n, k)).astype(np.float32)
    row = rng.uniform(0.5, 1.5, k).astype(np.float32)
    ids = rng.integers(0, n, n)
    seed = rng.uniform(-1, 1, (n, k)).astype(np.float32)
    tables = {"x": x, "y": y, "row": row}
    leaves = {name: tg.Tensor(v, requires_grad=True) for name, v in tables.items()}

    def ours(f: Callable[..., Any], *names: str, g: Any = None) -> Callable[[], Any]:
        chosen = [leaves[name] for name in names]

        def run() -> None:
            for leaf in chosen:
                leaf.zero_grad()
            f(*chosen).backward(g)
        return run

    def chain() -> None:
        a = x * y
        b = np.exp(-a)
        c = b + x
        d = c * c
        d.sum()
        g_c = 2 * c
        g_a = g_c * b
        _ = g_c - g_a * y, -(g_a * x)

    yield "a chain: ((e^(−xy) + x)²).sum()", {
        "ours": ours(lambda x, y: tg.square(tg.exp(-(x * y)) + x).sum(), "x", "y"), "hand": chain}

    def activation() -> None:
        out = np.tanh(x)
        s = 1 / (1 + np.exp(-out))
        _ = seed * s * (1 - s) * (1 - out * out)

    yield "sigmoid(tanh(x))", {"ours": ours(lambda x: tg.sigmoid(tg.tanh(x)), "x", g=seed),
                               "hand": activation}

    def reductions() -> None:
        mean = x.mean(axis=0)
        top = x.max(axis=1, keepdims=True)
        (mean.sum() + top.sum())
        best = x == top
        by_mean = np.broadcast_to(np.float32(1 / n), x.shape)
        _ = by_mean + best / best.sum(axis=1, keepdims=True, dtype=np.float32)

    yield "x.mean(0).sum() + x.max(1).sum()", {
        "ours": ours(lambda x: x.mean(axis=0).sum() + x.max(axis=1).sum(), "x"), "hand": reductions}

    def broadcasting() -> None:
        out = x * row
        out += row
        _ = seed * row, (seed * x).sum(axis=0) + seed.sum(axis=0)

    yield "x · row + row", {"ours": ours(lambda x, row: x * row + row, "x", "row", g=seed),
                            "hand": broadcasting}

    def einsum() -> None:
        np.einsum("ij,ij->i", x, y)
        by = g_rows[:, None]
        _ = by * y, by * x

    g_rows = rng.uniform(-1, 1, n).astype(np.float32)
    yield "einsum ij,ij→i", {
        "ours": ours(lambda x, y: tg.einsum("ij,ij->i", x, y), "x", "y", g=g_rows), "hand": einsum}

    def slices() -> None:
        _ = x[1:-1, ::2] * 2
        out = np.zeros_like(x)
        out[1:-1, ::2] = seed[1:-1, ::2] * 2

    yield "x[1:-1, ::2] · 2", {
        "ours": ours(lambda x: x[1:-1, ::2] * 2, "x", g=seed[1:-1, ::2]), "hand": slices}

    def look_up() -> None:
        _ = np.take(x, ids, axis=0) * 2
        out = np.zeros_like(x)
        np.add.at(out, ids, seed * 2)

    def looked_up(x: Any) -> Any:
        return x[ids] * 2

    yield "x[ids] · 2, ids drawn at random", {
        "ours": ours(looked_up, "x", g=seed), "hand": look_up}


# ── memory ────────────────────────────────────────────────────────────────────────────────────────

MEMORY = {
    "MLP step, 16,384 × 784 → 256 → 10": """
step = dict(engine.steps([784, 256, 10], 16_384, "relu"))[who]
run = step""",
    "100 operations on 10 MB": """
import numpy as np
def chain(x):
    for _ in range(50):
        x = (x * 0.5).sin()
    return x.sum()
if who == "ours":
    import tinygrad_w2v as tg
    leaf = tg.Tensor(np.ones(2_621_440, np.float32), requires_grad=True)
else:
    import torch
    leaf = torch.ones(2_621_440, requires_grad=True)
run = lambda: chain(leaf).backward()""",
    "skip-gram, 8,192 pairs, 5 drawn, d 100, n 50,000": """
import numpy as np
rng = np.random.default_rng(0)
start = rng.normal(size=(2, 50_000, 100)).astype(np.float32)
centre, outside = rng.integers(0, 50_000, (2, 8192))
noise = rng.integers(0, 50_000, (8192, 5))
if who == "ours":
    import tinygrad_w2v as tg
    from tinygrad_w2v.word2vec.objective import negative_loss
    V, U = [tg.Tensor(t, requires_grad=True) for t in start]
    run = lambda: negative_loss(V, U, centre, outside, noise).backward()
else:
    import torch
    from torch.nn.functional import embedding, logsigmoid
    V, U = [torch.tensor(t, requires_grad=True) for t in start]
    c, o, z = [torch.tensor(a) for a in (centre, outside, noise)]
    look = lambda table, ids: embedding(ids, table, sparse=True)
    def run():
        v = look(V, c[:, None])
        drawn = (v * look(U, z)).sum(dim=2)
        together = (v * look(U, o[:, None])).sum(dim=2)
        (-logsigmoid(together).sum() - logsigmoid(-drawn).sum()).backward()""",
}
PEAK = """
import sys
sys.path.insert(0, {folder!r})
import engine
who = {who!r}
{code}
run()  # what is taken once is no part of a step
import ctypes
getattr(ctypes.CDLL(None), "malloc_trim", int)(0)  # glibc gives back what is free
def status(key):
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(key))
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
run()
print((status("VmHWM") - before) / 1024)
"""


def memory() -> None:
    """Print the peaks of a step, of a process of its own for each, over what it held before."""
    print("\n| peak memory, MB | ours | PyTorch | ratio |\n|---|---|---|---|")
    for name, code in MEMORY.items():
        peaks = []
        for who in ("ours", "torch"):
            text = PEAK.format(folder=os.path.dirname(os.path.abspath(__file__)), who=who,
                               code=code)
            out = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True,
                                 env=os.environ | {"OMP_NUM_THREADS": "1"})
            peaks.append(float(out.stdout) if out.returncode == 0 else float("nan"))
            if out.returncode:
                print(out.stderr[-500:], file=sys.stderr)
        print(f"| {name} | {peaks[0]:.0f} | {peaks[1]:.0f} | {peaks[0] / peaks[1]:.2f} |",
              flush=True)


# ── growth, and import ────────────────────────────────────────────────────────────────────────────


def growth(clock: Callable[[], float]) -> None:
    """Print the cost of an operation, forwards, backwards and freed, in ever larger graphs."""
    import tinygrad_w2v as tg

    print("\n| operations in a graph | µs an operation |\n|---|---|")
    leaf = tg.Tensor(1.0, requires_grad=True)
    for n in (10**3, 10**4, 10**5, 10**6):
        def run(n: int = n) -> None:
            y = leaf
            for _ in range(n):
                y = y * 0.999
            y.backward()

        least = min(seconds(run, max(1, 10**4 // n), clock) for _ in range(3))
        print(f"| {n:,} | {least / n * 1e6:.2f} |", flush=True)


def importing(rounds: int) -> None:
    """Print what importing the package costs over NumPy, in processes of their own."""
    code = ("import time, numpy; began = time.process_time(); import tinygrad_w2v; "
            "print(time.process_time() - began)")
    with tempfile.TemporaryDirectory() as compiled:  # once, as after an installation
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        took = [float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                                     check=True, env=environment).stdout)
                for _ in range(rounds + 1)][1:]
    print(f"\nimport tinygrad_w2v, over import numpy: {statistics.median(took) * 1e3:.1f} ms "
          f"(the quickest of {rounds}: {min(took) * 1e3:.1f} ms)")


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parts = ("small", "mlp", "large", "memory", "growth", "import")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    wanted = parser.parse_args()
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[variable] = str(wanted.threads)
    clock: Callable[[], float] = time.perf_counter
    if wanted.threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        clock = time.process_time
    import numpy as np

    if torch := peer("torch"):
        torch.set_num_threads(wanted.threads)
    versions = [f"{PEERS[p]} {getattr(m, '__version__', '')}".strip() for p in PEERS
                if (m := peer(p))]
    print(f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, {wanted.threads} in use; "
          f"Python {platform.python_version()}, NumPy {np.__version__}, {', '.join(versions)}")
    tables = {"small": ("8 numbers", small), "mlp": ("a step of training", mlp),
              "large": ("10 MB", large)}
    for part, (title, cases) in tables.items():
        if part in wanted.only:
            show(title, cases(), wanted.rounds, clock)
            if part == "small":
                show("single numbers", scalars(), wanted.rounds, clock)
    if "memory" in wanted.only:
        memory()
    if "growth" in wanted.only:
        growth(clock)
    if "import" in wanted.only:
        importing(wanted.rounds)


if __name__ == "__main__":
    main()
