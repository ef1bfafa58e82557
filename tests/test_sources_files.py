"""A folder is listed whole, in order, once, whatever stands in it."""

import json
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autods.catalog import Catalog
from autods.errors import SourceError
from autods.ingest.listing import list_refs
from autods.ingest.work import input_of
from autods.records import Ref
from autods.sources.files import folder, folder_name

NOBODY = 65534


def put(root: Path, *names: str, text: str = "x") -> Path:
    """Write small files; what is in them is not the folder's business."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def uris(root: Path, **options: Any) -> list[str]:
    return [ref.uri for ref in folder(root, **options)]


def only(root: Path) -> Ref:
    (ref,) = folder(root)
    return ref


@pytest.fixture
def ours() -> Iterator[Path]:
    """A folder of an ordinary user's, and being that user: to root nothing is locked."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() != 0:
            yield Path(name)
            return
        os.chown(name, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


def test_the_first_folder_is_the_label_however_deep_an_image_lies(tmp_path: Path) -> None:
    put(tmp_path, "top.jpg", "cat/a.jpg", "cat/young/b.jpg", "dog/c.PNG")
    assert [(ref.uri, ref.label) for ref in folder(tmp_path)] == [
        ("top.jpg", None),
        ("cat/a.jpg", "cat"),
        ("cat/young/b.jpg", "cat"),
        ("dog/c.PNG", "dog"),
    ]
    assert {ref.label for ref in folder(tmp_path, labels="none")} == {None}


def test_a_ref_says_where_it_is_and_from_which_source(tmp_path: Path) -> None:
    ref = only(put(tmp_path / "photos", "a b.jpg"))
    assert (ref.source, ref.uri, ref.license) == ("photos", "a b.jpg", None)
    assert input_of(1, ref.location).path == str(tmp_path / "photos" / "a b.jpg")
    (named,) = folder(tmp_path / "photos", name="mine", license="cc0")
    assert (named.source, named.license) == ("mine", "cc0")


def test_a_moved_folder_holds_the_same_inputs(tmp_path: Path) -> None:
    put(tmp_path / "old" / "photos", "cat/a.jpg", "b.jpg")
    before = [(r.source, r.uri, r.stamp) for r in folder(tmp_path / "old" / "photos")]
    (tmp_path / "old").rename(tmp_path / "new")
    assert [(r.source, r.uri, r.stamp) for r in folder(tmp_path / "new" / "photos")] == before


def test_only_images_and_files_without_a_suffix_are_offered(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "b.JPEG", "c", "d.webp", "e.py", "f.tar.gz", "g.jpg.part", "Thumbs.db")
    assert uris(tmp_path) == ["a.jpg", "b.JPEG", "c", "d.webp"]


def test_hidden_files_and_folders_are_not_looked_at(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "._a.jpg", ".DS_Store", ".trash/b.jpg", "cat/.hidden/c.jpg")
    assert uris(tmp_path) == ["a.jpg"]


@settings(max_examples=25)
@given(st.sets(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]),
                       min_size=1, max_size=12), min_size=1, max_size=8))  # fmt: skip
def test_any_name_a_file_can_have_comes_back(names: set[str]) -> None:
    """Newlines, quotes, spaces, emoji, backslashes: the bytes are found again under it."""
    with tempfile.TemporaryDirectory() as root:
        wanted = {f"x{name}.jpg" for name in names}
        for name in wanted:
            Path(root, name).write_bytes(name.encode())
        refs = list(folder(Path(root)))
        assert [ref.uri for ref in refs] == sorted(wanted)
        for ref in refs:
            assert Path(input_of(1, ref.location).path or "").read_bytes() == ref.uri.encode()


def test_names_that_only_look_alike_are_two_files(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD"))
    put(tmp_path, composed, decomposed)
    assert set(uris(tmp_path)) == {composed, decomposed}


def test_bytes_that_are_no_text_can_be_listed_stored_and_read_back(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(b"pho\xfftos")
    image = root / os.fsdecode(b"c\xfft") / os.fsdecode(b"\xe9.jpg")
    image.parent.mkdir(parents=True)
    image.write_bytes(b"content")
    ref = only(root)
    assert (ref.source, ref.uri, ref.label) == (r"pho\xfftos", r"c\xfft/\xe9.jpg", r"c\xfft")
    catalog = Catalog(str(tmp_path / "catalog.db"))
    assert list_refs(catalog, catalog.dataset_id("x"), [ref]).new == 1
    assert Path(input_of(1, ref.location).path or "").read_bytes() == b"content"
    image.unlink()
    with pytest.raises(SourceError, match=r"no images in .*pho\\xfftos"):
        list(folder(root))


def test_the_order_does_not_depend_on_the_disk(tmp_path: Path) -> None:
    names = ["b.jpg", "a.jpg", "z/a.jpg", "B.jpg", "a/z.jpg", "a/b/c.jpg", "a/a.jpg", "10.jpg"]
    put(tmp_path / "one", *names)
    put(tmp_path / "two", *reversed(names))
    wanted = "10.jpg B.jpg a.jpg b.jpg a/a.jpg a/z.jpg a/b/c.jpg z/a.jpg".split()
    assert uris(tmp_path / "one") == uris(tmp_path / "two") == wanted


def test_a_stamp_changes_when_the_file_does(tmp_path: Path) -> None:
    before = only(put(tmp_path, "a.jpg"))
    assert only(tmp_path).stamp == before.stamp
    put(tmp_path, "a.jpg", text="other size")
    assert only(tmp_path).stamp != before.stamp
    later = only(tmp_path)
    os.utime(tmp_path / "a.jpg", ns=(0, 12345))
    assert only(tmp_path).stamp != later.stamp


# Links.


def test_a_link_to_what_is_offered_anyway_is_not_followed(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.jpg")
    (tmp_path / "again.jpg").symlink_to("cat/a.jpg")
    (tmp_path / "cats").symlink_to("cat")
    assert uris(tmp_path) == ["cat/a.jpg"]


def test_a_link_to_the_outside_is_followed_once(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "a.jpg", "more/b.jpg")
    inside = put(tmp_path / "photos", "own.jpg")
    for name in ("one", "two"):
        (inside / name).symlink_to(tmp_path / "elsewhere")
    for name in ("x.jpg", "y.jpg"):
        (inside / name).symlink_to(tmp_path / "elsewhere" / "a.jpg")
    assert uris(inside) == ["own.jpg", "x.jpg", "one/a.jpg", "one/more/b.jpg"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    inside = put(tmp_path / "photos", "a.jpg", "deep/b.jpg")
    (inside / "self").symlink_to(inside)
    (inside / "deep" / "up").symlink_to("..")
    put(tmp_path / "outside", "c.jpg")
    (tmp_path / "outside" / "back").symlink_to(inside)
    (inside / "out").symlink_to(tmp_path / "outside")
    assert uris(inside) == ["a.jpg", "deep/b.jpg", "out/c.jpg"]


def test_a_link_that_leads_nowhere_is_an_input(tmp_path: Path) -> None:
    put(tmp_path, "good.jpg")
    (tmp_path / "gone.jpg").symlink_to("was-here.jpg")
    (tmp_path / "gone-outside.jpg").symlink_to("/nowhere/at/all.jpg")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "this").symlink_to("that")
    (tmp_path / "that").symlink_to("this")
    found = {ref.uri: ref.stamp for ref in folder(tmp_path)}
    assert found.pop("good.jpg") != "missing"
    names = ["gone.jpg", "gone-outside.jpg", "self.jpg", "this", "that"]
    assert found == dict.fromkeys(names, "missing")


def test_links_into_a_hidden_store_are_followed(tmp_path: Path) -> None:
    """So git-annex, DVC and the Hugging Face cache keep their files."""
    put(tmp_path, ".git/annex/1", ".git/annex/2", "blob.bin")
    (tmp_path / "a.jpg").symlink_to(".git/annex/1")
    (tmp_path / "b.jpg").symlink_to(".git/annex/2")
    (tmp_path / "c.jpg").symlink_to("blob.bin")
    (tmp_path / "d.jpg").symlink_to(".git/annex/1")
    assert uris(tmp_path) == ["a.jpg", "b.jpg", "c.jpg"]


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    put(tmp_path / "2024", "cat/a.jpg")
    (tmp_path / "latest").symlink_to("2024")
    (ref,) = folder(tmp_path / "latest")
    assert (ref.source, ref.uri, ref.label) == ("latest", "cat/a.jpg", "cat")


def test_pipes_and_devices_are_never_opened(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "a.txt")
    os.mkfifo(tmp_path / "metadata.jsonl")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "link.jpg").symlink_to("pipe.jpg")
    (tmp_path / "a.json").mkdir()
    assert [(ref.uri, ref.caption) for ref in folder(tmp_path)] == [("a.jpg", None)]


@pytest.mark.slow
def test_a_folder_is_walked_to_any_depth(tmp_path: Path) -> None:
    folders = [tmp_path / "d"]
    while len(folders) < 1100:  # More than Python's calls may nest.
        folders.append(folders[-1] / "d")
    for path in folders:
        path.mkdir()
    image = folders[-1] / "a.jpg"
    image.touch()
    assert only(tmp_path).uri.endswith("/d/d/a.jpg")
    image.unlink()
    for path in reversed(folders):
        path.rmdir()


# What sidecars say.


def test_a_text_beside_an_image_is_its_caption(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d", "a.tar.jpg")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfA caf\xc3\xa9.\r\n")
    (tmp_path / "b.jpg.txt").write_text("  of b\n\n")
    (tmp_path / "c.txt").write_bytes(b"latin caf\xe9 \0")
    (tmp_path / "d.txt").write_text("of d")
    (tmp_path / "a.tar.txt").write_text("of a.tar")
    captions = {ref.uri: ref.caption for ref in folder(tmp_path)}
    assert captions["a.jpg"] == "A café."
    assert captions["b.jpg"] == "of b"
    assert captions["c.jpg"] == r"latin caf\xe9 \x00"
    assert captions["d"] == "of d"
    assert captions["a.tar.jpg"] == "of a.tar"


def test_json_beside_an_image_says_all_it_likes(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.jpg")
    said = {"text": "a cat", "label": 3, "license": "cc0", "width": 640, "tags": ["x"]}
    (tmp_path / "cat" / "a.json").write_text(json.dumps(said))
    ref = only(tmp_path)
    assert (ref.caption, ref.label, ref.license) == ("a cat", "3", "cc0")
    assert ref.meta == {"width": 640, "tags": ["x"]}


def test_null_in_a_sidecar_says_nothing(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.jpg")
    (tmp_path / "cat" / "a.txt").write_text("of the text")
    (tmp_path / "cat" / "a.json").write_text('{"caption": null, "label": null, "x": null}')
    ref = only(tmp_path)
    assert (ref.caption, ref.label, ref.meta) == ("of the text", "cat", {})


def test_metadata_of_an_imagefolder_speaks_of_its_folder_and_those_below(tmp_path: Path) -> None:
    put(tmp_path, "top.jpg", "cat/a.jpg", "cat/b.jpg")
    lines = [
        {"file_name": "top.jpg", "text": "at the top"},
        {"file_name": "./cat/a.jpg", "caption": "from above", "n": 1},
        {"file_name": "cat/b.jpg", "caption": "from above"},
        {"file_name": "nowhere.jpg", "caption": "of nothing"},
    ]
    text = "\n\n".join(json.dumps(line) for line in lines)
    (tmp_path / "metadata.jsonl").write_text(text + "\r\n")
    (tmp_path / "cat" / "metadata.jsonl").write_text('{"file_name": "b.jpg", "text": "nearer"}')
    found = {ref.uri: (ref.caption, dict(ref.meta)) for ref in folder(tmp_path)}
    assert found == {
        "top.jpg": ("at the top", {}),
        "cat/a.jpg": ("from above", {"n": 1}),
        "cat/b.jpg": ("nearer", {}),
    }


def test_a_line_separator_inside_json_is_text(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    caption = "one\u2028two\x85three\x0bfour"
    line = json.dumps({"file_name": "a.jpg", "text": caption}, ensure_ascii=False)
    (tmp_path / "metadata.jsonl").write_text(line, "utf-8")
    assert only(tmp_path).caption == caption


def test_what_sidecars_say_can_be_stored_anywhere(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    text = r'{"caption": "\ud83d \u0000", "n": NaN, "deep": [{"\ud800": -Infinity}]}'
    (tmp_path / "a.json").write_text(text)
    ref = only(tmp_path)
    assert ref.caption == r"\ud83d \x00"
    assert json.dumps(ref.meta, allow_nan=False, ensure_ascii=False).encode()
    assert ref.meta == {"deep": [{r"\ud800": "-inf"}]}
    catalog = Catalog(str(tmp_path / "catalog.db"))
    assert list_refs(catalog, catalog.dataset_id("x"), [ref]).new == 1


BAD_SIDECARS = {
    '{"a": 1,\n "b": }': r"a\.json:2: not JSON: Expecting value",
    "": r"a\.json:1: not JSON",
    "[1, 2]": r"a\.json:1: a JSON object is wanted, found '\[1, 2\]'",
    "[" * 100_000: r"a\.json:1: not JSON: maximum recursion depth",
    '{"n": ' + "9" * 5000 + "}": r"a\.json:1: not JSON: Exceeds the limit",
}


@pytest.mark.parametrize("text", BAD_SIDECARS, ids=range(len(BAD_SIDECARS)))
def test_a_sidecar_that_is_no_object_is_named(tmp_path: Path, text: str) -> None:
    put(tmp_path, "a.jpg")
    (tmp_path / "a.json").write_text(text)
    put(tmp_path, "b.jpg")
    bad, good = folder(tmp_path)
    assert re.search(r"^refused:bad-sidecar:.*" + BAD_SIDECARS[text], bad.location)
    assert good.location.startswith("file://")


BAD_METADATA = {
    '{"file_name": "a.jpg"}\n\n{oops}': r"metadata\.jsonl:3: not JSON: Expecting property name",
    '{"text": "a"}': r"metadata\.jsonl:1: no file_name in '\{\"text\": \"a\"\}'",
    '{"file_name": 3}': r"metadata\.jsonl:1: no file_name",
    '{"file_name": ""}': r"metadata\.jsonl:1: no file_name",
    "3": r"metadata\.jsonl:1: a JSON object is wanted, found '3'",
}


@pytest.mark.parametrize("text", BAD_METADATA)
def test_a_line_of_metadata_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    put(tmp_path, "a.jpg")
    (tmp_path / "metadata.jsonl").write_text(text)
    with pytest.raises(SourceError, match=BAD_METADATA[text]):
        list(folder(tmp_path))


# Folders that are none.


def test_a_missing_folder_a_file_and_an_empty_folder_are_one_sentence(tmp_path: Path) -> None:
    put(tmp_path, "docs/a.md", "docs/b.md", "file")
    (tmp_path / "empty").mkdir()
    for name, message in {
        "nowhere": r"^no folder .*/nowhere$",
        "file": r"^no folder .*/file: it is a file$",
        "file/below": r"^no folder .*/file/below$",
        "x" * 300: r"^no folder .*: File name too long$",
        "empty": r"^no images in .*/empty \(0 other files\)$",
        "docs": r"^no images in .*/docs \(2 other files\)$",
    }.items():
        with pytest.raises(SourceError, match=message):
            list(folder(tmp_path / name))


def test_a_locked_folder_is_named_and_never_passed_over(ours: Path) -> None:
    put(ours, "a.jpg", "locked/b.jpg")
    (ours / "locked").chmod(0)
    try:
        with pytest.raises(SourceError, match=r"^cannot list .*/locked: Permission denied$"):
            list(folder(ours))
        with pytest.raises(SourceError, match=r"^no folder .*/locked/b: Permission denied$"):
            list(folder(ours / "locked" / "b"))
        (ours / "b.jpg").symlink_to(ours / "locked" / "b.jpg")
        found = folder(ours)
        assert [next(found).uri, next(found).stamp] == ["a.jpg", "missing"]
    finally:
        (ours / "locked").chmod(0o700)


def test_a_locked_file_is_an_input_and_a_locked_sidecar_is_named(ours: Path) -> None:
    put(ours, "a.jpg", "a.txt", "b.jpg")
    (ours / "b.jpg").chmod(0)
    assert uris(ours) == ["a.jpg", "b.jpg"]
    (ours / "a.txt").chmod(0)
    locked, _ = folder(ours)
    assert re.search(r"^refused:bad-sidecar:cannot read .*Permission denied$", locked.location)


def test_a_folder_goes_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "photos" / "cat", "a.jpg")
    monkeypatch.chdir(tmp_path / "photos" / "cat")
    assert folder_name(Path()) == folder_name(Path("../cat/")) == "cat"
    assert folder_name(Path("..")) == "photos"
    assert folder_name(Path("/")) == "root"
    assert {ref.source for ref in folder(Path(".."))} == {"photos"}


@pytest.mark.slow
def test_twenty_thousand_files_are_all_listed(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number:03d}").mkdir()
        for other in range(100):
            (tmp_path / f"{number:03d}" / f"{other:02d}.jpg").touch()
    found = uris(tmp_path)
    assert found == [f"{n:03d}/{m:02d}.jpg" for n in range(200) for m in range(100)]


def test_the_real_inputs_are_listed_whole(data: Path) -> None:
    assert len(uris(data / "clipart" / "png")) == 346
    refs = list(folder(data / "exif"))
    assert len(refs) == 9
    assert all(ref.label is None for ref in refs)
