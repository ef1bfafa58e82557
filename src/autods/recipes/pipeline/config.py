"""What a pipeline is asked to do: seed 3's switches, with its names and defaults."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from annotated_types import Ge, Gt

from autods.errors import UsageError

if TYPE_CHECKING:
    from autods.recipes.file import Plan

Mode = Literal["strict", "lenient", "report-only"]
LabelFormat = Literal["txt", "caption", "json", "yolo", "coco"]


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """The switches of the eight steps.

    - `validation_mode`: `strict` rejects an image at any validation error, `lenient` notes what
      the checks say and keeps it (what cannot be decoded is rejected all the same), `report-only`
      filters nothing.
    - `enable_deduplication` false looks for no near-duplicates; equal bytes are one asset always.
    - `hot_storage_threshold`: so many images, the first that arrived, lie in the hot store.
    - `max_concurrent_validations`: worker processes at most; more than there are cores never help.
    - `label_formats` and `label_function` (`FILE.py:NAME`, its files end in `label_suffix`): the
      label files the fifth step writes; with `label_images` YOLO and COCO get the images, too.
    - `crawl_timeout`: seconds a try of the second step may take; the next one goes on from there.

    Raises UsageError that names the field, its value and the valid choices.

    >>> PipelineConfig(enable_labeling=True, hot_storage_threshold=500).validation_mode
    'strict'
    """

    enable_validation: bool = True
    enable_deduplication: bool = True
    enable_labeling: bool = False
    enable_storage_tiering: bool = True
    enable_quality_report: bool = True
    hot_storage_threshold: Annotated[int, Ge(0)] = 1000
    temp_workspace_cleanup: bool = True
    validation_mode: Mode = "strict"
    max_concurrent_validations: Annotated[int, Gt(0)] = 5
    label_formats: tuple[LabelFormat, ...] = ("txt", "json")
    label_function: str | None = None
    label_suffix: str | None = None
    label_images: bool = False
    crawl_timeout: Annotated[float, Gt(0)] = 1800.0

    def __post_init__(self) -> None:
        for each in fields(self):
            _check_type(each.name, getattr(self, each.name), _TYPES[each.type])
        _one_of("validation_mode", self.validation_mode, get_args(Mode))
        for kind in self.label_formats:
            _one_of("label_formats", kind, get_args(LabelFormat))
        if self.hot_storage_threshold < 0:
            raise UsageError(f"hot_storage_threshold={self.hot_storage_threshold!r} is below 0")
        for name in ("max_concurrent_validations", "crawl_timeout"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}={getattr(self, name)!r} is not above 0")

    @property
    def workers(self) -> int:
        """How many processes validate."""
        return min(self.max_concurrent_validations, os.cpu_count() or 1)


def applied(plan: "Plan", config: PipelineConfig) -> "Plan":
    """Give the plan as the switches want it; what a step that is off would do, no other does."""
    recipe = plan.recipe
    mode = config.validation_mode if config.enable_validation else "report-only"
    validate = replace(recipe.validate, mode=mode)
    if not config.enable_validation:
        validate = replace(validate, checks=None)
    dedup = recipe.dedup if config.enable_deduplication else replace(recipe.dedup, near="off")
    label = recipe.label if config.enable_labeling else replace(recipe.label, functions=None)
    changed = replace(
        recipe, validate=validate, dedup=dedup, label=label, workers=config.workers, pipeline=config
    )
    return replace(plan, recipe=changed)


def config_of(said: Mapping[str, Any]) -> PipelineConfig:
    """Read what `asdict` has made of a configuration, from JSON."""
    return PipelineConfig(**{**said, "label_formats": tuple(said["label_formats"])})


_TYPES: Mapping[Any, tuple[type, ...]] = {
    bool: (bool,),
    Mode: (str,),
    str | None: (str, NoneType),
    tuple[LabelFormat, ...]: (tuple, list),
    Annotated[int, Ge(0)]: (int,),
    Annotated[int, Gt(0)]: (int,),
    Annotated[float, Gt(0)]: (int, float),
}
"""What a field of each kind may be given."""


def _check_type(name: str, value: Any, valid: tuple[type, ...]) -> None:
    fits = isinstance(value, valid) and (bool in valid or not isinstance(value, bool))
    if not fits:
        wanted = " or ".join("nothing" if kind is NoneType else kind.__name__ for kind in valid)
        raise UsageError(f"{name}={value!r} will not do: {wanted} is wanted")


def _one_of(name: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise UsageError(f"{name}={value!r} is not one of {', '.join(map(repr, valid))}")
