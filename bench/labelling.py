"""Times weak labelling beside Snorkel: applying functions, and fitting and using a label model.

Run it with `python bench/labelling.py [--quick]`. Snorkel is measured in the same run where it can
be imported (pip install snorkel torch pandas, into an environment of its own), else left out.
"""

import argparse
import resource
import statistics
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from autods.label import LabelModel, apply_functions, labeling_function

WORDS = ("dog", "cat", "car", "tree", "free", "win", "photo", "city", "sea", "night")
SNORKEL = find_spec("snorkel") is not None


def median_time(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def captions(n: int) -> list[str]:
    rng = np.random.default_rng(0)
    words = np.array([*WORDS, *(f"word{i}" for i in range(90))])
    return [" ".join(row) for row in words[rng.integers(0, len(words), (n, 8))].tolist()]


def votes(n: int, m: int, k: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, k, n)
    out = np.full((n, m), -1)
    for j in range(m):
        right = np.where(rng.random(n) < rng.uniform(0.5, 0.9), truth, rng.integers(0, k, n))
        out[:, j] = np.where(rng.random(n) < rng.uniform(0.15, 0.45), right, -1)
    return out


def report(what: str, ours: float, theirs: float | None) -> None:
    beside = "Snorkel not importable" if theirs is None else f"Snorkel {theirs:8.3f} s"
    ratio = "" if theirs is None else f"   {theirs / ours:6.1f}x"
    print(f"{what:44s} {ours:8.3f} s   {beside}{ratio}", flush=True)


def bench_apply(n: int) -> None:
    def by_row(word: str) -> Callable[..., int]:
        return lambda row: 1 if word in row.caption else -1

    def by_column(word: str) -> Callable[..., object]:
        return lambda at: np.where(np.strings.find(at["caption"], word) >= 0, 1, -1)

    texts = captions(n)
    rows = [{"caption": text} for text in texts]
    one = [labeling_function(word)(by_row(word)) for word in WORDS]
    all_ = [labeling_function(word, vectorized=True)(by_column(word)) for word in WORDS]
    assert (
        apply_functions(one, rows, classes=2).L == apply_functions(all_, rows, classes=2).L
    ).all()
    theirs = snorkel_apply(texts, by_row) if SNORKEL else None
    times = {
        "row by row": median_time(lambda: apply_functions(one, rows, classes=2), 3),
        "vectorized, from rows": median_time(lambda: apply_functions(all_, rows, classes=2), 5),
        "vectorized, from columns": median_time(
            lambda: apply_functions(all_, {"caption": texts}, classes=2), 5
        ),
    }
    for how, ours in times.items():
        report(f"apply 10 functions to {n} rows, {how}", ours, theirs)


def snorkel_apply(texts: list[str], by_row: Callable[[str], Callable[..., int]]) -> float:
    import pandas as pd
    from snorkel.labeling import LabelingFunction, PandasLFApplier

    applier = PandasLFApplier([LabelingFunction(name=word, f=by_row(word)) for word in WORDS])
    frame = pd.DataFrame({"caption": texts})
    return median_time(lambda: applier.apply(frame, progress_bar=False), 1)


def bench_model(n: int, m: int, k: int, rounds: int) -> None:
    matrix = votes(n, m, k)
    for method in ("em", "moments"):
        work = LabelModel(k, method=method)
        ours = median_time(lambda w=work: w.fit(matrix).predict_proba(matrix), rounds)
        print(f"  peak memory so far {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB")
        theirs = snorkel_model(matrix, k) if SNORKEL else None
        report(f"{method}, fit + predict, {n} x {m} x {k}", ours, theirs)


def snorkel_model(matrix: np.ndarray, k: int) -> float:
    from snorkel.labeling.model import LabelModel as Theirs

    def work() -> None:
        model = Theirs(cardinality=k, verbose=False)
        model.fit(matrix, n_epochs=100, seed=0, progress_bar=False)
        model.predict_proba(matrix)

    return median_time(work, 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out the million rows")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    bench_apply(100_000)
    for size in ((100_000, 10, 2), *(() if quick else ((1_000_000, 10, 15),))):
        bench_model(*size, rounds=3)
