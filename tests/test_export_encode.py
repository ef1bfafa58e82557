import json
from typing import Any

import pytest

from autods.errors import UsageError
from autods.export.encode import encoded, json_bytes


def only(sample: dict[str, Any]) -> dict[str, bytes]:
    (one,) = encoded([sample])
    return dict(one.parts)


def test_values_become_the_bytes_that_webdataset_decodes() -> None:
    sample = {
        "jpg": bytearray(b"\xff\xd8"),
        "txt": "né",
        "cls": 7,
        "json": {"b": [1, 2.5, None], "a": "é"},
        "meta.json": [1],
    }
    parts = only(sample)
    assert parts == {
        "cls": b"7",
        "jpg": b"\xff\xd8",
        "json": '{"a":"é","b":[1,2.5,null]}'.encode(),
        "meta.json": b"[1]",
        "txt": "né".encode(),
    }
    assert list(parts) == sorted(parts)


def test_json_that_is_bytes_or_text_is_taken_as_it_is() -> None:
    assert only({"json": b'{ "a":1}'}) == {"json": b'{ "a":1}'}
    assert only({"json": '{ "a":1}'}) == {"json": b'{ "a":1}'}


def test_a_key_is_made_up_by_position_where_there_is_none() -> None:
    samples: list[dict[str, Any]] = [{"cls": 1}, {"__key__": "mine", "cls": 2}, {"cls": 3}]
    assert [s.key for s in encoded(samples)] == ["sample-000000", "mine", "sample-000002"]


def test_names_that_begin_with_an_underscore_are_about_the_sample() -> None:
    assert only({"__url__": "a.tar", "_note": object(), "cls": 1}) == {"cls": b"1"}


@pytest.mark.parametrize("key", ["a.b", "a/b", "a\\b", "a b", "", "__a", "é", "a\n", 7])
def test_a_key_that_readers_would_misread_is_refused(key: Any) -> None:
    with pytest.raises(UsageError, match="cannot be a sample's key"):
        only({"__key__": key, "cls": 1})


@pytest.mark.parametrize("ext", ["", ".jpg", "a/b", "a b", "jpg.", "a..b"])
def test_an_extension_that_readers_would_misread_is_refused(ext: str) -> None:
    with pytest.raises(UsageError, match="cannot be an extension"):
        only({ext: b""})


def test_extensions_that_differ_in_case_alone_are_refused() -> None:
    with pytest.raises(UsageError, match="differ in case alone"):
        only({"jpg": b"", "JPG": b""})


@pytest.mark.parametrize("value", [1.5, True, None, object(), [1]])
def test_a_value_without_bytes_is_refused_by_name(value: Any) -> None:
    with pytest.raises(UsageError, match=f"0001.*cls is of type {type(value).__name__}; valid are"):
        only({"__key__": "0001", "cls": value})


def test_a_sample_without_components_is_refused() -> None:
    with pytest.raises(UsageError, match="no components"):
        only({"__key__": "0001"})


def test_samples_with_other_extensions_are_refused_with_both_sets() -> None:
    samples: list[dict[str, Any]] = [{"jpg": b""}, {"__key__": "odd", "jpg": b"", "txt": ""}]
    with pytest.raises(UsageError, match=r"'odd' has the extensions jpg, txt, .* before it jpg"):
        list(encoded(samples))
    assert len(list(encoded(samples, strict=False))) == 2


def test_json_has_one_form() -> None:
    assert json_bytes({"b": 1, "a": {"d": 1.0, "c": "\u2028"}}) == (
        '{"a":{"c":"\u2028","d":1.0},"b":1}'.encode()
    )
    assert json.loads(json_bytes("lone \ud800")) == "lone ?"


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"bytes"])
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="cannot be written as JSON"):
        json_bytes({"x": value})


def test_json_without_an_end_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(UsageError, match="cannot be written as JSON"):
        json_bytes(loop)
