import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.errors import UsageError
from autods.export import order
from autods.export.encode import Encoded
from autods.export.order import placing, shuffled


def samples(count: int, size: int = 100) -> list[Encoded]:
    return [
        Encoded(f"{i:05d}", (("jpg", b"%d" % i * (size // 5)), ("txt", b""))) for i in range(count)
    ]


def test_the_order_depends_on_seed_and_keys_alone(tmp_path: Path) -> None:
    given_samples = samples(200)
    mixed = random.Random(1).sample(given_samples, 200)
    one = list(shuffled(given_samples, seed=0, folder=tmp_path))
    assert list(shuffled(mixed, seed=0, folder=tmp_path)) == one
    assert list(shuffled(mixed, seed=1, folder=tmp_path)) != one
    assert sorted(one) == given_samples
    assert one != given_samples


@pytest.mark.parametrize("memory", [0, 500, 5_000, 40_000])
def test_what_does_not_fit_in_memory_goes_by_the_disk_to_the_same_order(
    tmp_path: Path, memory: int
) -> None:
    given_samples = samples(150)
    expected = list(shuffled(given_samples, seed=3, folder=tmp_path))
    stream = shuffled(given_samples, seed=3, folder=tmp_path, memory=memory)
    assert list(tmp_path.iterdir()), "the run files are there while the stream is read"
    assert list(stream) == expected
    assert list(tmp_path.iterdir()) == []


def test_few_files_are_open_however_many_runs_there_are(tmp_path: Path) -> None:
    given_samples = samples(order.FAN_IN * 3 + 5)
    stream = shuffled(given_samples, seed=3, folder=tmp_path, memory=0)
    assert len(list(tmp_path.iterdir())) == 3 + 5
    assert sorted(stream) == given_samples


@settings(max_examples=30)
@given(parts=st.dictionaries(st.text("abc.", min_size=1), st.binary(max_size=50), max_size=4))
def test_a_sample_comes_back_from_the_disk_as_it_went(
    tmp_path_factory: pytest.TempPathFactory, parts: dict[str, bytes]
) -> None:
    sample = Encoded("key", tuple(parts.items()))
    folder = tmp_path_factory.mktemp("runs")
    assert list(shuffled([sample], seed=0, folder=folder, memory=0)) == [sample]


@pytest.mark.parametrize("memory", [0, order.MEMORY])
def test_a_key_that_comes_twice_is_refused(tmp_path: Path, memory: int) -> None:
    twice = [*samples(10), *samples(1)]
    with pytest.raises(UsageError, match="'00000'"):
        list(shuffled(twice, seed=0, folder=tmp_path, memory=memory))


def test_places_of_two_seeds_have_nothing_in_common() -> None:
    keys = [f"{i}" for i in range(1000)]
    ranks = [sorted(keys, key=placing(seed)).index for seed in (0, 1)]
    moved = sum(abs(ranks[0](key) - ranks[1](key)) for key in keys) / len(keys)
    assert 280 < moved < 390  # Two random orders of n differ by n/3 on the mean.
