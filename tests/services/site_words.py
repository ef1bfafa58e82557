"""Names for pages and images: words without digits, as sites have them that want to be found."""

import random
from collections.abc import Iterator
from itertools import product

_HOW = """amber ancient bright broken calm clever cosy crimson curious distant dusty early empty
faint fierce foggy gentle golden hidden hollow hungry icy jolly lively lonely mellow misty narrow
northern patient polished proud quiet rapid rusty silent silver sleepy southern stormy sunny
tender tiny wandering warm wild windy wooden""".split()

_WHAT = """anchor badger barn beetle bicycle bridge brook buffalo candle canyon castle cherry clock
cottage desert falcon farmer ferry fiddle forest fountain fox garden glacier harbour heron
island juniper kettle kitchen lantern lemon lighthouse lion lizard market meadow mill
mountain orchard otter owl pigeon pillow river robin rocket saddle sparrow spider squirrel
station stone stork sunflower tiger tower tractor turtle valley village violin walrus
waterfall windmill wolf""".split()

_WHERE = """harvest midnight monsoon morning noon october rain snow spring summer thunder twilight
winter sunrise sunset autumn""".split()

SECTIONS = """animals buildings forests gardens harbours insects kitchens landscapes machines
mountains oceans people""".split()


def slugs(seed: int) -> Iterator[str]:
    """Give names like `quiet-otter-winter`, each once, in the order of a seed; some 50,000.

    >>> next(slugs(7)) == next(slugs(7))
    True
    """
    names = ["-".join(words) for words in product(_HOW, _WHAT, _WHERE)]
    random.Random(seed).shuffle(names)
    yield from names


def prose(chance: random.Random, words: int) -> str:
    """Give some text that says nothing."""
    return " ".join(chance.choices(_HOW + _WHAT + _WHERE, k=words))
