"""A recipe file is read whole, or answered with one sentence that says where and what."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autods.assemble.checks import Checks
from autods.errors import RecipeError, UsageError
from autods.recipes.file import BuildRecipe, Dedup, Labelling, Plan, folder_plan, read_recipe

SOURCE = "sources:\n  - folder: photos\n"
LEAST = f"name: cats\n{SOURCE}"

Read = Callable[[str], Plan]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")

    def reading(text: str) -> Plan:
        path = tmp_path / "r.yaml"
        path.write_text(text, encoding="utf-8")
        return read_recipe(path)

    return reading


def refusal(read: Read, text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        read(text)
    assert "\n" not in str(caught.value)
    return re.sub(r"[^\s']*/(?=\w+\.\w+)", "", str(caught.value))


def test_two_keys_are_enough(read: Read, tmp_path: Path) -> None:
    plan = read(LEAST)
    assert plan.recipe == BuildRecipe(name="cats", sources=[{"folder": "photos"}])
    assert plan.recipe.validate == Checks()
    assert plan.written == {"name": "cats", "sources": [{"folder": "photos"}]}
    assert plan.command == f"autods build {tmp_path}/r.yaml"
    assert [ref.uri for ref in plan.sources[0]()] == ["a.jpg"]
    assert [ref.uri for ref in plan.sources[0]()] == ["a.jpg"]


def test_the_readme_s_recipe_is_one(read: Read, tmp_path: Path) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(name: cats\n.*?)```", readme, re.DOTALL)
    (tmp_path / "labels.py").write_text("")
    plan = read(text)
    assert len(plan.sources) == 3
    assert plan.recipe.label.classes == ("cat", "dog")


def test_every_key_can_be_set(read: Read, tmp_path: Path) -> None:
    for name in ("labels.py", "checks.py"):
        (tmp_path / name).write_text("")
    recipe = read(
        f"{LEAST}"
        "validate: {mode: lenient, min_width: 1, min_height: 2, max_width: 9, max_height: 9,\n"
        "  min_bytes: 1, max_bytes: 99, max_pixels: 81, max_aspect: 3, formats: [jpg, png],\n"
        "  checks: checks.py, error_budget: 0.5}\n"
        "http: {concurrency: 2, allow_private: [127.0.0.1/32], respect_x_robots: no}\n"
        "dedup: {near: off, radius: 4, lookalike_radius: 2}\n"
        "label: {functions: labels.py, classes: [yes, no], model: majority, tie_policy: first,\n"
        "  min_probability: 0.6}\n"
        "split: {train: 1, val: 0, test: 0, seed: 1}\n"
        "shards: {max_count: 5}\nexport: [parquet]\nworkers: 1\nitem_timeout: 2.5\n"
    ).recipe
    assert recipe.validate.checks == tmp_path / "checks.py"
    assert recipe.http.allow_private == ("127.0.0.1/32",)
    assert not recipe.http.respect_x_robots
    assert recipe.dedup == Dedup(near="off", radius=4, lookalike_radius=2)
    assert recipe.label == Labelling(
        functions=tmp_path / "labels.py", classes=("yes", "no"), model="majority",
        tie_policy="first", min_probability=0.6,
    )  # fmt: skip
    assert (recipe.split.seed, recipe.shards.max_count, recipe.workers) == (1, 5, 1)


WRONG = {
    f"nam: x\n{SOURCE}": "1: nam: unknown key; did you mean 'name'? (valid: name, sources, v",
    SOURCE: "1: name: is missing",
    "name: x\n": "1: sources: is missing",
    "name: x\nsources: []\n": "2: sources: [] will not do: at least one is wanted",
    "name: x\nsources: photos\n": "2: sources: 'photos' will not do: a list is wanted",
    "name: x\nsources: [photos]\n": "2: sources.0: 'photos' will not do: a mapping of keys",
    f"name: a/b\n{SOURCE}": "1: name: not a dataset name: 'a/b' (letters, digits,",
    f"name: ../x\n{SOURCE}": "1: name: not a dataset name: '../x'",
    f"name: 7\n{SOURCE}": "1: name: 7 will not do: text is wanted, in quotes if need be",
    f"name: {'x' * 101}\n{SOURCE}": "1: name: not a dataset name: 'xxx",
    f"{LEAST}validate: {{min_width: many}}\n": "4: validate.min_width: 'many' will not do:",
    f"{LEAST}validate: {{min_width: -1}}\n": "4: validate.min_width: -1 will not do: input",
    f"{LEAST}validate:\n  error_budget: 5\n": "5: validate.error_budget: 5 will not do: inp",
    f"{LEAST}validate:\n  mode: strickt\n": "5: validate.mode: 'strickt' will not do: input "
    "should be 'strict', 'lenient' or 'report-only'",
    f"{LEAST}validate:\n  min_width: 9\n  max_width: 3\n": "4: validate: min_width 9 exceeds "
    "max_width 3: nothing would pass",
    f"{LEAST}validate:\n  formats: [jpg, jpge]\n": "5: validate.formats.1: 'jpge' is no form"
    "at; did you mean 'JPEG'? (valid: JPEG, PNG",
    f"{LEAST}validate: {{formats: [EPS]}}\n": "4: validate.formats.0: 'EPS' is no format;",
    f"{LEAST}validate: {{formats: jpg}}\n": "4: validate.formats: 'jpg' will not do: a list",
    f"{LEAST}validate: {{checks: no.py}}\n": "4: validate.checks: no file no.py",
    f"{LEAST}validate: {{max_pixels: 1000000000}}\n": "4: validate: max_pixels 1000000000 is",
    f"{LEAST}http: {{concurrency: 0}}\n": "4: http: concurrency=0 must be above 0",
    f"{LEAST}http: {{allow_private: [home]}}\n": "4: http: ",
    f"{LEAST}dedup: {{near: drp}}\n": "4: dedup.near: 'drp' will not do: input should be 'dr",
    f"{LEAST}dedup: {{radius: 17}}\n": "4: dedup.radius: 17 will not do: input should be les",
    f"{LEAST}dedup: {{radius: 2}}\n": "4: dedup: lookalike_radius 4 exceeds radius 2",
    f"{LEAST}label: {{functions: no.py, classes: [a, b]}}\n": "4: label.functions: no file no",
    f"{LEAST}label: {{functions: r.yaml}}\n": "4: label: labeling functions need `classes`",
    f"{LEAST}label: {{classes: [a, a]}}\n": "4: label: a class stands in `classes` twice: a",
    f"{LEAST}label: {{classes: [1, 2]}}\n": "4: label.classes.0: 1 will not do: text is want",
    f"{LEAST}split: {{train: 0.5}}\n": "4: split: train + val + test must be 1, none below 0;"
    " found 0.5 + 0.1 + 0.1",
    f"{LEAST}split: {{train: .nan}}\n": "4: split.train: nan will not do",
    f"{LEAST}shards: {{max_count: 0}}\n": "4: shards.max_count: 0 will not do: input should",
    f"{LEAST}export: [webdataset, parqet]\n": "4: export.1: 'parqet' will not do: input shou"
    "ld be 'webdataset', 'parquet' or 'folder'",
    f"{LEAST}workers: 0\n": "4: workers: 0 will not do: input should be greater than 0",
    f"{LEAST}name: y\n": "4: 'name' stands here twice",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_a_mistake_is_named_with_line_key_value_and_choices(read: Read, text: str) -> None:
    assert refusal(read, text).startswith(f"r.yaml:{WRONG[text]}")


WRONG_SOURCES = {
    "- foldr: a": "3: sources.0: no kind of source; did you mean 'folder'? (valid: folder, u",
    "- {}": "3: sources.0: no kind of source; (valid: folder, urls, table, search, crawl, f",
    "- folder: a\n  licence: by": "4: sources.0.licence: unknown key; did you mean 'license'",
    "- folder: a\n  labels: no": "4: sources.0.labels: 'no' will not do: input should be 'fo"
    "lders' or 'none'",
    "- folder: a\n  license: 4.0": "4: sources.0.license: 4.0 will not do: text is wanted, i",
    "- folder:": "3: sources.0.folder: is empty: a path is wanted",
    "- folder: a\n  urls: b.txt": "4: sources.0.urls: one source of two kinds, folder and url"
    "s: make each an entry (valid: folder, urls, table, search, crawl, function)",
    "- table: a.csv": "3: sources.0.images: is missing",
    "- urls: a.csv\n- {urls: b.csv, url_colum: x}": "4: sources.1.url_colum: unknown key; di",
    "- function: no.py:go": "3: sources.0.function: no source 'no.py:go': give FILE.py:FUNCT",
    "- function: mine.py": "3: sources.0.function: no source 'mine.py': give FILE.py:FUNCTIO",
    "- function: mine.py:og\n  n: 1": "3: sources.0.function: mine.py has no function 'og' (t",
    "- function: bad.py:go": "3: sources.0.function: bad.py cannot be run: ZeroDivisionError",
    "- {n: 1, function: mine.py:go, m: 2}": "3: sources.0.m: unknown key; (valid: n, folder,",
    "- function: mine.py:go\n  n: many": "4: sources.0.n: 'many' will not do: input should b",
}

MINE = """
from pathlib import Path
from autods.records import Ref

def go(n: int, folder: Path = Path("x"), name: str = "", urls: str = ""):
    for number in range(n):
        yield Ref(uri=f"{number}", source=name, location=str(folder), caption=urls)
"""


@pytest.mark.parametrize("text", WRONG_SOURCES, ids=range(len(WRONG_SOURCES)))
def test_a_mistake_in_a_source_is_named(read: Read, tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "bad.py").write_text("1 / 0")
    body = "".join(f"  {line}\n" for line in text.splitlines())
    assert refusal(read, f"name: x\nsources:\n{body}").startswith(f"r.yaml:{WRONG_SOURCES[text]}")


def test_a_function_of_the_user_s_is_a_source_with_keys_of_any_name(
    read: Read, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    plan = read(
        "name: x\nsources:\n  - urls: free\n    folder: sub\n    function: mine.py:go\n    n: '2'\n"
    )
    refs = list(plan.sources[0]())
    assert [(r.uri, r.location, r.caption) for r in refs] == [
        ("0", str(tmp_path / "sub"), "free"), ("1", str(tmp_path / "sub"), "free"),
    ]  # fmt: skip


def test_paths_are_relative_to_the_recipe_and_a_tilde_is_home(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    plan = read(
        "name: x\nsources:\n"
        "  - {folder: ../up/photos}\n  - {urls: ~/list.csv}\n  - {folder: /data/all}\n"
        "  - {table: t.csv, images: pics}\n  - {folder: ~nobody-of-that-name}\n"
    )
    paths: list[Any] = [
        value
        for source in plan.sources
        for value in source.keywords.values()
        if isinstance(value, Path)
    ]
    assert set(paths) == {
        tmp_path / "../up/photos", tmp_path / "home" / "list.csv", Path("/data/all"),
        tmp_path / "t.csv", tmp_path / "pics", tmp_path / "~nobody-of-that-name",
    }  # fmt: skip


SAME = {
    "- folder: a/photos\n- folder: b/photos": "4: sources.1: two sources are named 'photos'",
    "- folder: photos\n- folder: photos\n  labels: none": "4: sources.1: two sources are na",
    "- urls: web.csv\n- urls: web.txt": "4: sources.1: two sources are named 'web'",
    "- urls: a.csv\n- table: t.csv\n  images: x\n  name: a": "4: sources.1: two sources are",
    "- folder: a\n- folder: b\n- urls: a.txt": "5: sources.2: two sources are named 'a'",
    "- folder: a\n  name: ''\n- folder: x/a": "5: sources.1: two sources are named 'a'",
    "- folder: photos/.\n- folder: photos/": "4: sources.1: two sources are named 'photos'",
}


@pytest.mark.parametrize("text", SAME)
def test_two_sources_of_one_name_would_take_each_other_s_inputs(read: Read, text: str) -> None:
    body = "".join(f"  {line}\n" for line in text.splitlines())
    found = refusal(read, f"name: x\nsources:\n{body}")
    assert found.startswith(f"r.yaml:{SAME[text]}")
    assert "give one of them another `name:` (the first is sources.0)" in found


def test_a_name_of_its_own_keeps_them_apart(read: Read) -> None:
    plan = read("name: x\nsources:\n  - folder: a/photos\n  - {folder: b/photos, name: more}\n")
    assert [source.keywords["name"] for source in plan.sources] == [None, "more"]


def test_a_recipe_that_repeats_itself_may_use_anchors(read: Read) -> None:
    plan = read(
        "name: x\nsources:\n"
        "  - &first {folder: photos, license: by, labels: none}\n"
        "  - <<: *first\n    name: again\n"
    )
    assert plan.sources[1].keywords["license"] == "by"


def test_a_path_with_spaces_can_be_run_again(tmp_path: Path) -> None:
    path = tmp_path / "my recipe.yaml"
    path.write_text(LEAST)
    assert read_recipe(path).command == f"autods build '{path}'"


# A folder alone.


def test_a_folder_is_a_plan_with_every_default(tmp_path: Path) -> None:
    (tmp_path / "My Photos (2024)").mkdir()
    (tmp_path / "My Photos (2024)" / "a.jpg").touch()
    plan = folder_plan(tmp_path / "My Photos (2024)")
    assert plan.recipe.name == "my-photos--2024"
    assert plan.written["name"] == plan.recipe.name
    assert plan.command == f"autods build '{tmp_path}/My Photos (2024)'"
    assert [(ref.source, ref.uri) for ref in plan.sources[0]()] == [("My Photos (2024)", "a.jpg")]


def test_a_folder_under_another_name_says_so_in_its_command(tmp_path: Path) -> None:
    plan = folder_plan(tmp_path, "cats")
    assert plan.recipe.name == "cats"
    assert plan.command == f"autods build {tmp_path} --name cats"
    with pytest.raises(UsageError, match="not a dataset name: 'a/b'"):
        folder_plan(tmp_path, "a/b")


@pytest.mark.parametrize(
    ("name", "dataset"),
    [("ABC", "abc"), ("фото", "dataset"), ("...", "dataset"), ("x" * 150, "x" * 100),
     ("-a_b.c-", "a-b-c"), ("\udcff", "xff"), ("a\nb", "a-b")],
)  # fmt: skip
def test_any_folder_s_name_makes_a_dataset_s_name(tmp_path: Path, name: str, dataset: str) -> None:
    plan = folder_plan(tmp_path / name)
    assert plan.recipe.name == dataset
    assert str(plan.written).encode()


def test_the_folder_above_goes_by_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "photos" / "cat")
    assert folder_plan(Path("..")).recipe.name == "photos"
    assert folder_plan(Path()).recipe.name == "cat"
