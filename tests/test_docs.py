"""The documentation says what the code does."""

import re
from dataclasses import fields
from inspect import signature
from pathlib import Path

import pytest

from autods.assemble.checks import Checks
from autods.assemble.splits import Splits
from autods.crawl.scope import Scope
from autods.recipes.file import BuildRecipe, Dedup, Labelling, Shards, read_recipe
from autods.recipes.pipeline.config import PipelineConfig
from autods.recipes.pipeline.metrics import PipelineMetrics
from autods.sources import SOURCES
from autods.web.policy import HttpPolicy

ROOT = Path(__file__).resolve().parents[1]
RECIPE = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "kind", [BuildRecipe, Checks, HttpPolicy, Dedup, Labelling, Scope, Shards, Splits]
)
def test_every_key_of_a_recipe_is_documented(kind: type) -> None:
    names = [field.name for field in fields(kind) if field.name != "seeds"]
    missing = [n for n in names if not re.search(rf"[`.]{n}[`:]|## `{n}`", RECIPE)]
    assert missing == []


def test_every_switch_of_the_pipeline_is_documented() -> None:
    page = (ROOT / "docs" / "pipeline.md").read_text(encoding="utf-8")
    assert [f.name for f in fields(PipelineConfig) if f"`{f.name}`" not in page] == []
    assert [f.name for f in fields(PipelineMetrics) if f"`{f.name}`" not in page] == []


@pytest.mark.parametrize("name", SOURCES)
def test_every_argument_of_a_source_is_documented(name: str) -> None:
    missing = [key for key in signature(SOURCES[name]).parameters if f"`{key}" not in RECIPE]
    assert missing == []


def test_the_recipe_of_the_readme_is_one(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [recipe] = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "recipe.yaml").write_text(recipe)
    (tmp_path / "labels.py").write_text("")
    plan = read_recipe(tmp_path / "recipe.yaml")
    assert plan.recipe.name == "cats"
    assert len(plan.sources) == 3


def test_no_link_of_the_documentation_is_dead() -> None:
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("bench/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
