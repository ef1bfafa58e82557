"""Hosts take turns, keep to their share and their pauses, and nothing that waits is lost."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autods.web.hosts import Hosts
from autods.web.manners import Manners


def test_hosts_take_turns_and_keep_their_own_order() -> None:
    hosts = Hosts[str](per_host=9)
    for job in ("a1", "a2", "a3", "b1", "c1", "c2"):
        hosts.push(job, job[0])
    assert [hosts.pop(0.0) for _ in range(7)] == ["a1", "b1", "c1", "a2", "c2", "a3", None]


def test_a_host_starts_no_more_than_its_share() -> None:
    hosts = Hosts[int](per_host=2)
    for job in range(3):
        hosts.push(job, "a")
    assert [hosts.pop(0.0) for _ in range(3)] == [0, 1, None]
    hosts.done("a")
    assert [hosts.pop(0.0) for _ in range(2)] == [2, None]


def test_a_delay_lies_between_two_starts_even_across_an_idle_time() -> None:
    hosts = Hosts[int](per_host=2, delay=1.0)
    hosts.push(0, "a")
    assert hosts.pop(0.0) == 0
    hosts.done("a")
    hosts.push(1, "a")
    assert hosts.pop(0.9) is None
    assert hosts.next_time() == 1.0
    assert hosts.pop(1.0) == 1


def test_a_pause_holds_one_host_and_not_the_other() -> None:
    hosts = Hosts[str](per_host=1)
    for job in ("a1", "a2", "b1"):
        hosts.push(job, job[0])
    assert hosts.pop(0.0) == "a1"
    hosts.pause("a", 5.0)
    hosts.done("a")
    assert [hosts.pop(0.0), hosts.pop(4.9), hosts.pop(5.0)] == ["b1", None, "a2"]


def test_a_pause_can_grow_while_it_lasts() -> None:
    hosts = Hosts[str](per_host=2)
    for job in ("a1", "a2", "a3"):
        hosts.push(job, "a")
    assert [hosts.pop(0.0), hosts.pop(0.0)] == ["a1", "a2"]
    hosts.pause("a", 1.0)
    hosts.done("a")
    assert hosts.pop(0.5) is None
    hosts.pause("a", 2.0)
    hosts.done("a")
    assert [hosts.pop(1.0), hosts.pop(2.0)] == [None, "a3"]


A, B = "http://a:80", "http://b:80"


def test_a_delay_of_its_own_holds_one_host_and_asks_it_one_thing_at_a_time() -> None:
    manners = Manners()
    manners.set_delay(A, 3.0)
    hosts = Hosts[str](per_host=2, manners=manners)
    for job in ("a1", "a2", "b1", "b2", "b3"):
        hosts.push(job, A if job < "b" else B)
    assert [hosts.pop(0.0) for _ in range(4)] == ["a1", "b1", "b2", None]
    assert hosts.pop(9.0) is None
    hosts.done(A)
    assert hosts.pop(9.0) == "a2"


def test_a_delay_set_while_jobs_run_counts_from_the_last_start() -> None:
    manners = Manners()
    hosts = Hosts[int](per_host=2, manners=manners)
    for job in range(4):
        hosts.push(job, A)
    assert [hosts.pop(1.0), hosts.pop(1.5)] == [0, 1]
    manners.set_delay(A, 2.0)
    hosts.done(A)
    assert hosts.pop(3.5) is None
    hosts.done(A)
    assert hosts.pop(3.4) is None
    assert hosts.next_time() == 3.5
    assert hosts.pop(3.5) == 2
    manners.set_delay(A, 0.0)
    assert hosts.pop(3.5) is None  # It stands in no queue until the one under way ends.
    hosts.done(A)
    assert hosts.pop(3.5) == 3


def test_the_larger_of_two_delays_counts() -> None:
    manners = Manners()
    manners.set_delay(A, 3.0)
    hosts = Hosts[str](per_host=9, delay=5.0, manners=manners)
    patient = Hosts[str](per_host=9, delay=1.0, manners=manners)
    for queue in (hosts, patient):
        queue.push("job", A)
        queue.push("next", A)
    assert hosts.pop(0.0) == "job"
    hosts.done(A)
    assert [hosts.pop(4.9), hosts.pop(5.0)] == [None, "next"]
    assert [patient.pop(7.9), patient.pop(8.0)] == [None, "job"]


def test_two_that_share_manners_keep_their_distance_and_their_pauses_together() -> None:
    manners = Manners()
    one, two = (Hosts[int](per_host=6, delay=1.0, manners=manners) for _ in range(2))
    for job in range(3):
        one.push(job, A)
        two.push(job, A)
    assert [one.pop(0.0), two.pop(0.0), two.pop(0.9), two.pop(1.0)] == [0, None, None, 0]
    assert [one.pop(1.9), one.pop(2.0)] == [None, 1]
    one.pause(A, 50.0)
    assert [two.pop(49.0), two.pop(50.0)] == [None, 1]


def test_a_job_put_off_comes_back_in_its_time_and_first() -> None:
    hosts = Hosts[str](per_host=9)
    hosts.push("now", "a")
    hosts.push("later", "a")
    hosts.push_at(3.0, "again", "a")
    assert hosts.pop(0.0) == "now"
    assert len(hosts) == 2
    assert hosts.next_time() == 3.0
    assert [hosts.pop(3.0), hosts.pop(3.0)] == ["again", "later"]


@pytest.mark.parametrize("delay", [0.0, 1.0])
def test_a_host_with_nothing_left_is_forgotten(delay: float) -> None:
    hosts = Hosts[int](per_host=1, delay=delay)
    for job in range(100):
        hosts.push(job, f"host{job}")
    for job in range(100):
        assert hosts.pop(0.0) == job
        hosts.done(f"host{job}")
    assert hosts.pop(2.0) is None
    assert (len(hosts._hosts), len(hosts), hosts.next_time()) == (0, 0, None)


@given(
    jobs=st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5)), max_size=40),
    per_host=st.integers(1, 3),
    delay=st.sampled_from([0.0, 0.5]),
    pauses=st.lists(st.floats(0, 3), max_size=5),
)
def test_every_job_starts_once_and_no_host_exceeds_its_share(
    jobs: list[tuple[str, float]], per_host: int, delay: float, pauses: list[float]
) -> None:
    hosts = Hosts[tuple[int, str]](per_host=per_host, delay=delay)
    for number, (key, when) in enumerate(jobs):
        if when < 1:
            hosts.push((number, key), key)
        else:
            hosts.push_at(when, (number, key), key)
    started, active, now = [], Counter[str](), 0.0
    running: list[str] = []
    while hosts or running:
        while (job := hosts.pop(now)) is not None:
            started.append(job)
            running.append(job[1])
            active[job[1]] += 1
            assert active[job[1]] <= per_host
        if running:
            key = running.pop(0)
            active[key] -= 1
            if pauses:
                hosts.pause(key, now + pauses.pop())
            hosts.done(key)
            continue
        due = hosts.next_time()
        assert due is not None or not hosts
        now = max(now, due or now)
    assert sorted(started) == [(number, key) for number, (key, _) in enumerate(jobs)]
