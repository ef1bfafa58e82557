"""A scope says what belongs to a crawl, and a wrong one is refused by name."""

from pathlib import Path
from typing import Any

import pytest

from autods.crawl.scope import Scope
from autods.errors import UsageError
from autods.settings import Document, checked, checked_call

SEEDS = ("https://example.org/start",)


def reasons(scope: Scope, *urls: str) -> list[str | None]:
    return [scope.page_reason(url) for url in urls]


def test_the_hosts_of_the_seeds_are_crawled_and_no_others() -> None:
    scope = Scope(seeds=SEEDS, sitemap_urls=("http://127.0.0.1:8000/s.xml",))
    inside = [
        "https://example.org/a",
        "http://example.org/a",
        "https://www.example.org/a",
        "http://127.0.0.1:8000/",
    ]
    outside = [
        "https://b.example.org/",
        "https://example.org:8443/",
        "http://127.0.0.1:8001/",
        "http://127.0.0.1/",
    ]
    assert reasons(scope, *inside) == [None] * 4
    assert reasons(scope, *outside) == ["other-host"] * 4
    assert Scope(seeds=("http://www.a.org/",)).page_reason("https://a.org/") is None


@pytest.mark.parametrize(
    ("hosts", "inside", "outside"),
    [
        (
            ["example.org"],
            ["http://example.org/", "http://example.org:81/"],
            ["http://b.example.org/"],
        ),
        (["Example.org:81"], ["http://example.org:81/"], ["http://example.org/"]),
        (
            ["*.example.org"],
            ["http://a.b.example.org:81/"],
            ["http://example.org/", "http://badexample.org/"],
        ),
        (["*.example.org:80"], ["http://a.example.org/"], ["http://a.example.org:81/"]),
        (["*"], ["http://anything.org:81/", "http://[::1]/"], []),
        (["[::1]"], ["http://[::1]/", "http://[::1]:81/"], ["http://[::2]/"]),
        (["[::1]:81"], ["http://[::1]:81/"], ["http://[::1]/"]),
        (["a.org", "*.a.org"], ["http://a.org/", "http://b.a.org/"], ["http://ba.org/"]),
    ],
)
def test_hosts_can_be_named(hosts: list[str], inside: list[str], outside: list[str]) -> None:
    scope = Scope(seeds=SEEDS, hosts=tuple(hosts), image_hosts=tuple(hosts))
    assert reasons(scope, *inside) == [None] * len(inside)
    assert reasons(scope, *outside) == ["other-host"] * len(outside)
    assert [scope.image_reason(url) for url in (*inside, *outside)] == [
        *[None] * len(inside),
        *["other-host"] * len(outside),
    ]


def test_globs_include_and_exclude() -> None:
    scope = Scope(seeds=SEEDS, include=("*/art/*", "*.html"), exclude=("*/login*", "*.svg"))
    assert reasons(
        scope,
        "https://example.org/start",
        "https://example.org/art/1/2",
        "https://example.org/x.html",
        "https://example.org/x",
        "https://example.org/art/login?x",
    ) == [None, None, None, "excluded", "excluded"]
    assert scope.image_reason("https://example.org/x.jpg") is None
    assert scope.image_reason("https://b.org/x.svg") == "excluded"
    assert Scope(seeds=SEEDS, exclude=("*",)).page_reason(SEEDS[0]) == "excluded"


def test_traps_are_no_part_of_it_unless_they_are_named() -> None:
    trap = "https://example.org/a/a/a/"
    assert Scope(seeds=SEEDS).page_reason(trap) == "repeating-path"
    assert Scope(seeds=(trap,)).page_reason(trap) is None
    assert Scope(seeds=SEEDS).image_reason(trap) is None


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({}, "seeds"),
        ({"seeds": ("example.org",)}, "did you mean 'https://example.org'"),
        ({"seeds": ("mailto:me@example.org",)}, "'mailto:me@example.org' is no"),
        ({"seeds": ("https://me:hush@example.org/",)}, "seeds: "),
        ({"seeds": "https://example.org/"}, "must be a list"),
        ({"sitemap_urls": ("/sitemap.xml",)}, "sitemap_urls: '/sitemap.xml'"),
        ({"seeds": SEEDS, "hosts": ("https://example.org",)}, "hosts: 'https://example.org'"),
        ({"seeds": SEEDS, "hosts": ("a.*.org",)}, "hosts: 'a.*.org'"),
        ({"seeds": SEEDS, "image_hosts": ("",)}, "image_hosts: ''"),
        ({"seeds": SEEDS, "include": "*"}, "include='*'"),
    ],
)
def test_a_wrong_scope_is_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        Scope(**wrong)
    assert named in str(caught.value)


def test_a_password_in_a_seed_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        Scope(seeds=("https://me:hush@example.org/",))
    assert "hush" not in str(caught.value)


def recipe(folder: Path, text: str) -> Document:
    path = folder / "recipe.yaml"
    path.write_text("seeds: [https://example.org/]\n" + text)
    return Document(path)


def test_a_scope_is_read_from_a_recipe(tmp_path: Path) -> None:
    document = recipe(tmp_path, "exclude: ['*/x']\ndepth: 2\nlicense: CC0\n")
    seeds = ("https://example.org/",)
    expected = Scope(seeds=seeds, exclude=("*/x",), depth=2, license="CC0")
    assert checked(Scope, document.data, document) == expected
    assert Scope(**checked_call(Scope, document.data, document)) == expected


@pytest.mark.parametrize(
    "wrong",
    ["depth: -1", "pages: 0", "images: many", "per_shap: 5", "page_bytes: 0", "hosts: [a b]"],
)
def test_a_wrong_value_in_a_recipe_is_refused_by_its_key(tmp_path: Path, wrong: str) -> None:
    document = recipe(tmp_path, wrong)
    with pytest.raises(UsageError, match=wrong.partition(":")[0]):
        checked(Scope, document.data, document)
