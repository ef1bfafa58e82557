"""Each limit rejects what lies beyond it with a reason; a user's check is never trusted blindly."""

from pathlib import Path
from typing import Any

import pytest

from autods.assemble.checks import Checks, format_name, judge, judges, load_checks
from autods.errors import UsageError


def row(**values: Any) -> dict[str, Any]:
    return {"width": 100, "height": 50, "file_size": 1000, "format": "JPEG", "meta": {}, **values}


def verdict(checks: Checks, **values: Any) -> tuple[str, str] | None:
    return judge(row(**values), judges(checks))


def test_by_default_everything_that_decodes_passes() -> None:
    assert verdict(Checks()) is None
    assert verdict(Checks(), width=1, height=1, file_size=0, format="ODD") is None


LIMITS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], tuple[str, str]]] = [
    ({"min_width": 64}, {"width": 64}, {"width": 63},
     ("too-small", "63x50 pixels, 64x1 wanted")),
    ({"min_height": 50}, {"height": 50}, {"height": 49},
     ("too-small", "100x49 pixels, 1x50 wanted")),
    ({"min_bytes": 1000}, {"file_size": 1000}, {"file_size": 999},
     ("too-small", "999 bytes, 1,000 wanted")),
    ({"max_width": 200}, {"width": 200}, {"width": 201},
     ("too-large", "width 201, 200 allowed")),
    ({"max_height": 60}, {"height": 60}, {"height": 61},
     ("too-large", "height 61, 60 allowed")),
    ({"max_aspect": 2}, {"width": 100}, {"width": 101},
     ("aspect", "sides at 2.02 to 1, 2 allowed")),
    ({"max_aspect": 3}, {"height": 300}, {"height": 301},
     ("aspect", "sides at 3.01 to 1, 3 allowed")),
    ({"formats": ("jpg", "png")}, {"format": "PNG"}, {"format": "GIF"},
     ("format", "GIF, allowed: JPEG, PNG")),
    ({"formats": ("tif",)}, {"format": "TIFF"}, {"format": "PNG"},
     ("format", "PNG, allowed: TIFF")),
]  # fmt: skip


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: str(limit[0]))
def test_a_limit_lets_pass_what_lies_on_it_and_nothing_beyond(limit: Any) -> None:
    options, good, bad, reason = limit
    assert verdict(Checks(**options), **good) is None
    assert verdict(Checks(**options), **bad) == reason


def test_an_image_without_height_has_an_aspect_too() -> None:
    found = verdict(Checks(max_aspect=2, min_height=0), height=0)
    assert found == ("aspect", "sides at 100 to 1, 2 allowed")


def test_the_first_reason_is_given() -> None:
    checks = Checks(min_width=200, formats=("PNG",))
    assert verdict(checks) == ("too-small", "100x50 pixels, 200x1 wanted")


@pytest.mark.parametrize("side", ["width", "height", "bytes"])
def test_limits_that_nothing_can_meet_are_refused(side: str) -> None:
    with pytest.raises(
        UsageError, match=rf"^min_{side} 9 exceeds max_{side} 8: nothing would pass"
    ):
        Checks(**{f"min_{side}": 9, f"max_{side}": 8})  # type: ignore[arg-type]


def test_formats_go_by_the_names_in_use() -> None:
    assert [format_name(name) for name in ("jpg", "Jpeg", "tif", "heic", "webp")] == [
        "JPEG", "JPEG", "TIFF", "HEIF", "WEBP",
    ]  # fmt: skip


# Checks of the user's.


def with_checks(tmp_path: Path, text: str) -> Checks:
    path = tmp_path / "checks.py"
    path.write_text(text)
    return Checks(checks=path, min_width=64)


def test_functions_whose_name_begins_with_check_are_checks(tmp_path: Path) -> None:
    checks = with_checks(
        tmp_path,
        "import math\n"
        "LIMIT = 10\n"
        "def check_too_dark(row):\n"
        "    return f'brightness {row[\"brightness\"]}' if row['brightness'] < LIMIT else None\n"
        "def check_caption(row):\n"
        "    return None if row.get('caption') else ''\n"
        "def helper(row): return 'never asked'\n"
        "check_limit = 3\n",
    )
    names = [name for name, _ in judges(checks)]
    assert names == ["damaged", "too-small", "too-large", "aspect", "format", "too-dark", "caption"]
    assert verdict(checks, brightness=3) == ("too-dark", "brightness 3")
    assert verdict(checks, brightness=30) == ("caption", "")
    assert verdict(checks, brightness=30, caption="x") is None
    assert verdict(checks, width=1, brightness=3) == ("too-small", "1x50 pixels, 64x1 wanted")


FAILING = {
    "return row['nothing']": "KeyError: 'nothing'",
    "return 1 / 0": "ZeroDivisionError: division by zero",
    "return True": "answered True: None or a reason is wanted",
    "return False": "answered False: None or a reason is wanted",
    "return 0": "answered 0: None or a reason is wanted",
    "row['width'] = 9": "TypeError: 'mappingproxy' object does not support item assignment",
    "del row['width']": "TypeError: 'mappingproxy' object does not support item deletion",
    "return row.pop('width')": "AttributeError: 'mappingproxy' object has no attribute 'pop'",
    "assert row['width'] > 500": "AssertionError: ",
    "return (x for x in 'ab').throw(RecursionError('deep'))": "RecursionError: deep",
}


@pytest.mark.parametrize("body", FAILING)
def test_a_check_that_fails_is_itself_the_reason(tmp_path: Path, body: str) -> None:
    checks = with_checks(tmp_path, f"def check_mine(row):\n    {body}\n")
    seen = row()
    assert judge(seen, judges(checks)) == ("mine-failed", FAILING[body])
    assert seen == row()


def test_what_a_check_says_can_be_stored(tmp_path: Path) -> None:
    checks = with_checks(tmp_path, "def check_x(row):\n    return '\\ud800\\0' + 'y' * 5000\n")
    found = verdict(checks)
    assert found is not None
    assert found[1].startswith(r"\ud800\x00yyy")
    assert len(found[1].encode()) < 1100


BAD_FILES = {
    "": "holds no check: write a function whose name begins with check_",
    "check_x = 3\ndef other(row): ...": "holds no check",
    "def check_x(row:\n": r"cannot be run: SyntaxError: .*line 1",
    "import nowhere_at_all": "cannot be run: ModuleNotFoundError: No module named",
    "raise SystemExit": "cannot be run: SystemExit",
    "1 / 0": "cannot be run: ZeroDivisionError",
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_a_file_without_checks_is_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=rf"checks\.py {BAD_FILES[text]}"):
        judges(with_checks(tmp_path, text))


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^no file of checks .*/none\.py$"):
        load_checks(tmp_path / "none.py")
    with pytest.raises(UsageError, match=r"^no file of checks "):
        load_checks(tmp_path)


def test_an_edit_counts_at_once(tmp_path: Path) -> None:
    text = "def check_x(row):\n    return '{}'\n"
    for word in ("one", "two"):
        assert verdict(with_checks(tmp_path, text.format(word))) == ("x", word)
