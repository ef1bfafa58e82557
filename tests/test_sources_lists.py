"""A list is read to its end: nonsense in it becomes refused inputs, never an exception."""

import contextlib
import datetime as dt
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autods.catalog import Catalog
from autods.errors import SourceError, UsageError
from autods.ingest.listing import list_refs
from autods.ingest.work import input_of
from autods.records import Ref, Refusal
from autods.sources import load_source, name_of
from autods.sources.lists import table, urls
from autods.sources.rows import MAX_LINES


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def why(ref: Ref) -> str:
    """The reason for which an input will be refused."""
    refusal = input_of(1, ref.location).refusal
    assert isinstance(refusal, Refusal)
    assert refusal.status == "rejected"
    return f"{refusal.reason}: {refusal.detail}"


def is_refused(ref: Ref) -> bool:
    return ref.location.startswith("refused:")


NONSENSE = (
    "not a url",
    "ht!tp://example.org/a.jpg",
    "http:/example.org/a.jpg",
    "http://",
    "://example.org",
    "www.example.org/a.jpg",
    "C:\\photos\\a.jpg",
    "javascript:alert(1)",
    "data:image/png;base64,AAAA",
    "-",
    "None",
    "http://example.org/\x00.jpg",
    "http://example.org/\x07.jpg",
    "{}",
    "'",
)


def test_a_text_list_has_a_url_a_line(tmp_path: Path) -> None:
    lines = ["# a comment", "", "http://a.org/1.jpg", "  https://a.org/2.jpg\t", "  # another"]
    refs = list(urls(written(tmp_path / "crawl.txt", "\n".join(lines))))
    assert [(ref.uri, ref.location, ref.source, ref.stamp) for ref in refs] == [
        ("http://a.org/1.jpg", "http://a.org/1.jpg", "crawl", ""),
        ("https://a.org/2.jpg", "https://a.org/2.jpg", "crawl", ""),
    ]


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".tsv", ".parquet"])
def test_one_line_of_nonsense_in_ten_ends_as_a_refused_input(tmp_path: Path, suffix: str) -> None:
    lines = [f"http://a.org/{number}.jpg" for number in range(9 * len(NONSENSE))]
    for number, line in enumerate(NONSENSE):
        lines.insert(number * 10, line)
    path = tmp_path / f"list{suffix}"
    if suffix == ".parquet":
        parquet(path, url=lines)
    else:
        written(path, "\n".join(lines if suffix == ".txt" else ["url", *lines]))
    refs = list(urls(path))
    assert len(refs) == len(lines)
    assert sum(map(is_refused, refs)) == len(NONSENSE)
    reasons = {why(ref).partition(":")[0] for ref in refs if is_refused(ref)}
    assert reasons <= {"bad-url", "bad-row"}
    catalog = Catalog(str(tmp_path / "catalog.db"))
    assert list_refs(catalog, catalog.dataset_id("x"), refs).new == len(refs)


def test_a_list_may_not_read_files_of_this_machine(tmp_path: Path) -> None:
    lines = ["file:///etc/passwd", "FILE:///etc/passwd", "refused://x/y", "refused:ok:no reason"]
    refs = list(urls(written(tmp_path / "l.txt", "\n".join(lines))))
    assert all(why(ref).startswith("unsupported-scheme") for ref in refs[:3])
    assert why(refs[3]).startswith("bad-url")
    assert [ref.uri for ref in refs] == lines


def test_a_scheme_is_read_in_any_case(tmp_path: Path) -> None:
    (ref,) = urls(written(tmp_path / "l.txt", "HTTPS://A.org/B.jpg"))
    assert (ref.uri, ref.location) == ("HTTPS://A.org/B.jpg", "https://A.org/B.jpg")


@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_what_stands_twice_is_two_inputs_in_the_order_of_the_list(
    tmp_path: Path, suffix: str
) -> None:
    lines = ["http://b.org", "http://a.org", "http://b.org", "http://b.org"]
    head = ["url"] if suffix == ".csv" else []
    refs = list(urls(written(tmp_path / f"l{suffix}", "\n".join([*head, *lines]))))
    assert [ref.uri for ref in refs] == lines
    catalog = Catalog(str(tmp_path / "catalog.db"))
    listing = list_refs(catalog, catalog.dataset_id("x"), refs)
    assert (listing.inputs, listing.repeated, listing.new) == (4, 2, 2)


def test_columns_say_caption_license_and_label_and_the_rest_is_metadata(tmp_path: Path) -> None:
    text = "url,caption,license,label,width,note\nhttp://a.org,a cat,cc0,cat,640,\n"
    (ref,) = urls(written(tmp_path / "l.csv", text), license="by")
    assert (ref.caption, ref.license, ref.label) == ("a cat", "cc0", "cat")
    assert ref.meta == {"width": "640"}
    text = "link\ttext\tc\nhttp://a.org\ta dog\t\n"
    path = written(tmp_path / "l.tsv", text)
    options = {"url_column": "link", "caption_column": "text", "label_column": "c"}
    (ref,) = urls(path, name="web", license="by", **options)
    assert (ref.source, ref.caption, ref.license, ref.label) == ("web", "a dog", "by", None)
    assert ref.meta == {}


def test_cells_are_read_as_people_write_them(tmp_path: Path) -> None:
    text = ' URL , Caption,label \r\n http://a.org , "a, ""big""\r\n cat",  cat \r\n'
    (ref,) = urls(written(tmp_path / "l.csv", text))
    assert (ref.uri, ref.caption, ref.label) == ("http://a.org", 'a, "big"\r\n cat', "cat")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfurl,caption\r\nhttp://a.org,caf\xc3\xa9\r\n",
        "url,caption\nhttp://a.org,café\n".encode("utf-16"),
        b"\xfe\xff" + "url,caption\nhttp://a.org,café\n".encode("utf-16-be"),
        "url,caption\rhttp://a.org,café\r".encode(),
        "\n\nurl,caption\n\nhttp://a.org,café\n\n".encode(),
    ],
)
def test_any_editor_may_have_saved_it(tmp_path: Path, content: bytes) -> None:
    (ref,) = urls(written(tmp_path / "l.csv", content))
    assert (ref.uri, ref.caption) == ("http://a.org", "café")


def test_bytes_that_are_no_text_do_not_end_the_list(tmp_path: Path) -> None:
    content = b"url,caption\nhttp://a.org/1,caf\xe9 \x00\nhttp://a.org/\xe9,x\nhttp://a.org/2,y\n"
    refs = list(urls(written(tmp_path / "l.csv", content)))
    assert refs[0].caption == r"caf\xe9 \x00"
    assert why(refs[1]).startswith("bad-url")
    assert refs[2].location == "http://a.org/2"


def test_a_row_with_too_few_cells_lacks_them(tmp_path: Path) -> None:
    text = "caption,url,label\na cat,http://a.org\nlonely\nb,http://b.org,,,\n"
    refs = list(urls(written(tmp_path / "l.csv", text)))
    assert [(ref.caption, ref.label) for ref in refs] == [
        ("a cat", None), ("lonely", None), ("b", None),
    ]  # fmt: skip
    assert why(refs[1]) == "bad-url: no URL: ''"
    assert refs[1].uri == "line 3"
    assert refs[2].location == "http://b.org"


def test_a_row_with_too_many_cells_is_refused_for_its_cells_are_not_where_they_seem(
    tmp_path: Path,
) -> None:
    text = "url,caption,license\nhttp://a.org,a dog, brown,cc0\nhttp://b.org,b,cc0\n"
    first, second = urls(written(tmp_path / "l.csv", text))
    assert why(first) == "bad-row: line 2 has 4 cells for 3 columns"
    assert second.license == "cc0"


QUOTES = {
    "never closed": 'http://a/1,"open\n',
    "closed and more": 'http://a/1,"one" two\n',
    "closed by another": '"\n',
}


@pytest.mark.parametrize("bad", QUOTES)
@pytest.mark.parametrize("place", [0, 3, 5])
def test_a_stray_quote_costs_its_own_line_alone(tmp_path: Path, bad: str, place: int) -> None:
    """Python's reader would take all rows from here to the next quote for one cell."""
    lines = [f"http://b/{number},fine\n" for number in range(5)]
    lines.insert(place, QUOTES[bad])
    refs = list(urls(written(tmp_path / "l.csv", "url,caption\n" + "".join(lines))))
    assert [ref.uri for ref in refs if not is_refused(ref)] == [f"http://b/{n}" for n in range(5)]
    (refused,) = filter(is_refused, refs)
    assert why(refused).startswith("bad-row: line ")
    assert refused.uri == f"line {place + 2}"


def test_a_url_in_quotes_may_end_with_its_line(tmp_path: Path) -> None:
    (ref,) = urls(written(tmp_path / "l.csv", 'url,caption\n"http://a\n",x\n'))
    assert (ref.location, ref.caption) == ("http://a", "x")


@pytest.mark.parametrize("stray", ['"', 'x"y"', '"x" y', '"x'])
def test_many_stray_quotes_cost_many_lines_and_no_more(tmp_path: Path, stray: str) -> None:
    block = ("http://a/{}", '"', "http://b/{}", "http://c/{}", stray, "http://d/{}")
    lines = [line.format(n) for n in range(200) for line in block]
    refs = list(urls(written(tmp_path / "l.csv", "\n".join(["url", *lines]))))
    fine = [ref.uri for ref in refs if not is_refused(ref)]
    assert fine == [line for line in lines if line.startswith("http")]
    assert len(refs) == len(lines)


def test_a_cell_may_have_many_lines_and_an_open_quote_ends_after_a_thousand(tmp_path: Path) -> None:
    caption = "\n".join(map(str, range(MAX_LINES - 1)))
    rows = f'http://a/1,"{caption}"\nhttp://a/2,"{caption}\n\n"\nhttp://a/3,x\n'
    refs = list(urls(written(tmp_path / "l.csv", f"url,caption\n{rows}")))
    assert refs[0].caption == caption
    assert is_refused(refs[1])
    assert refs[-1].location == "http://a/3"


@pytest.mark.slow
def test_a_huge_cell_is_read_and_an_absurd_one_refused(tmp_path: Path) -> None:
    rows = f"http://a/1,{'x' * 2**20}\nhttp://a/2,{'y' * 2**25}\nhttp://a/3,z\n"
    first, second, third = urls(written(tmp_path / "l.csv", f"url,caption\n{rows}"))
    assert first.caption == "x" * 2**20
    assert why(second).startswith("bad-row: line 3 is no CSV: field larger than field limit")
    assert third.caption == "z"


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(st.lists(st.tuples(st.integers(0, 99), cells), min_size=1, max_size=20))
def test_whatever_csv_can_say_is_understood(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]]
) -> None:
    import csv
    import io

    text = io.StringIO()
    csv.writer(text).writerows([("url", "caption"), *((f"http://a/{n}", c) for n, c in rows)])
    path = written(tmp_path_factory.mktemp("csv") / "l.csv", text.getvalue())
    found = [(ref.uri, ref.caption) for ref in urls(path)]
    assert found == [(f"http://a/{n}", caption.strip() or None) for n, caption in rows]


@given(st.binary(max_size=300), st.sampled_from([".txt", ".csv", ".tsv", ".parquet"]))
def test_no_bytes_at_all_are_an_exception_but_ours(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    head = b"url,x\n" if suffix == ".csv" else b"url\tx\n" if suffix == ".tsv" else b""
    path = written(tmp_path_factory.mktemp("any") / f"l{suffix}", head + content)
    refs = []
    with contextlib.suppress(SourceError):
        refs = list(urls(path))
    for ref in refs:
        assert json.dumps([ref.uri, ref.caption, ref.meta], ensure_ascii=False).encode()
        assert "\0" not in f"{ref.uri}{ref.caption}{ref.location}"


# Parquet.


def test_parquet_cells_of_any_type_become_text_or_json(tmp_path: Path) -> None:
    day = dt.datetime(2024, 2, 29, 12, 30, 0, 1, dt.UTC)
    path = parquet(
        tmp_path / "l.parquet",
        url=["http://a.org", None, ""],
        label=[float("nan"), 2.5, None],
        caption=[b"text", b"\xff", None],
        number=[1, None, 3],
        truth=[True, None, None],
        exact=[Decimal("1.20"), None, None],
        list=[[1.0, float("nan")], [], None],
        struct=[{"a": b"\x89PNG\xff", "b": None}, None, None],
        day=[day.date(), None, None],
        time=pa.array([day, None, None], pa.timestamp("us")),
        nano=pa.array([1, None, None], pa.timestamp("ns", tz="Europe/Berlin")),
        clock=pa.array([1, None, None], pa.time64("ns")),
        span=pa.array([7, None, None], pa.duration("ns")),
        inf=[float("inf"), None, None],
    )
    first, second, third = urls(path)
    assert (first.label, first.caption) == (None, "text")
    assert (second.label, second.caption) == ("2.5", "(1 bytes)")
    assert first.meta == {
        "number": 1, "truth": True, "exact": "1.20", "list": [1.0, None],
        "struct": {"a": "(5 bytes)", "b": None}, "day": "2024-02-29",
        "time": "2024-02-29 12:30:00.000001", "nano": "1970-01-01 00:00:00.000000001",
        "clock": "00:00:00.000000001", "span": "7", "inf": "inf",
    }  # fmt: skip
    assert [ref.uri for ref in (second, third)] == ["line 2", "line 3"]
    assert second.meta == {"list": []}
    assert third.meta == {"number": 3}
    json.dumps([first.meta, second.meta], allow_nan=False)


def test_times_that_python_has_not_are_text(tmp_path: Path) -> None:
    far = pa.array([2**55, -(2**55)], pa.timestamp("ms"))
    refs = list(urls(parquet(tmp_path / "l.parquet", url=["http://a", "http://b"], far=far)))
    assert all(isinstance(ref.meta["far"], str) for ref in refs)


def test_urls_that_are_bytes_or_numbers(tmp_path: Path) -> None:
    (ref,) = urls(parquet(tmp_path / "b.parquet", url=[b"http://a.org"]))
    assert ref.location == "http://a.org"
    refs = list(urls(parquet(tmp_path / "n.parquet", url=[1, None])))
    assert [why(ref) for ref in refs] == ["bad-url: no URL: '1'", "bad-url: no URL: ''"]


def test_a_damaged_parquet_file_is_one_sentence(tmp_path: Path) -> None:
    good = parquet(tmp_path / "good.parquet", url=[f"http://a.org/{n}" for n in range(50_000)])
    data = good.read_bytes()
    damaged = bytearray(data)
    damaged[2000:4000] = b"\xff" * 2000
    for content in (data[:-100], data[:50], b"PAR1PAR1", b"\x89PNG", bytes(damaged)):
        with pytest.raises(SourceError, match=r"^(cannot read )?\S*bad\.parquet: [^\n]+$"):
            list(urls(written(tmp_path / "bad.parquet", content)))


def test_the_project_s_thousand_urls_are_a_thousand_inputs(data: Path) -> None:
    refs = list(urls(data / "urls" / "test_1000.parquet", caption_column="TEXT"))
    assert len(refs) == 1000
    assert not any(map(is_refused, refs))
    assert all(ref.caption for ref in refs)
    assert len({ref.uri for ref in refs}) > 900


# Files that are no list.


NO_LISTS: dict[str, tuple[str | bytes | None, str]] = {
    "gone.csv": (None, r"^no file .*/gone\.csv$"),
    "l.xlsx": ("x", r"not a list of ours \(valid: \.txt, \.csv, \.tsv, \.parquet\)$"),
    "empty.txt": ("", r"empty\.txt is empty: no inputs$"),
    "comments.txt": ("# one\n\n", r"is empty: no inputs$"),
    "empty.csv": ("", r"empty\.csv is empty: no inputs$"),
    "header.csv": ("url,caption\n", r"is empty: no inputs$"),
    "bom.csv": (b"\xef\xbb\xbf", r"is empty: no inputs$"),
    "cases.csv": ("URL,Url\n", r"2 columns 'url': rename all but one$"),
    "column.csv": ("ulr,caption\n", r"no column 'url'; did you mean 'ulr'\? \(valid: ulr, caption"),
    "twice.csv": ("url,caption,url\n", r"2 columns 'url': rename all but one$"),
    "binary.csv": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff", r"no column 'url'"),
    "quote.csv": ('"url,caption\n', r"quote\.csv:1: not CSV: unexpected end of data$"),
    "wide.csv": (",".join(map(str, range(10**5))), r"no column 'url'; \(valid: 0, .{,400}$"),
}


@pytest.mark.parametrize("name", NO_LISTS)
def test_a_file_that_is_no_list_is_one_sentence(tmp_path: Path, name: str) -> None:
    content, message = NO_LISTS[name]
    if content is not None:
        written(tmp_path / name, content)
    with pytest.raises(SourceError, match=message):
        list(urls(tmp_path / name))


def test_a_folder_or_an_empty_table_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "l.csv").mkdir()
    with pytest.raises(SourceError, match=r"cannot read .*l\.csv: Is a directory"):
        list(urls(tmp_path / "l.csv"))
    with pytest.raises(SourceError, match="is empty: no inputs"):
        list(urls(parquet(tmp_path / "l.parquet", url=pa.array([], pa.string()))))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_column_asked_for_by_name_must_be_there(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"l{suffix}"
    if suffix == ".csv":
        written(path, "url,text\nhttp://a.org,x\n")
    else:
        parquet(path, url=["http://a.org"], text=["x"])
    assert next(urls(path, caption_column="text")).caption == "x"
    with pytest.raises(SourceError, match=r"no column 'txet'; did you mean 'text'\?"):
        list(urls(path, caption_column="txet"))


def test_a_text_list_has_no_columns_to_ask_for(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no columns, so none named 'text'"):
        list(urls(written(tmp_path / "l.txt", "http://a.org"), caption_column="text"))


# A table beside a folder of images.


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jpg", "sub/b c.jpg", "ü.jpg"):
        (folder / name).write_text(name)
    written(tmp_path / "secret.jpg", "not for you")
    return folder


def test_a_table_names_files_of_its_folder(tmp_path: Path, images: Path) -> None:
    text = "image,label,price\na.jpg,cat,3\nsub/b c.jpg,dog,4\n./sub/../ü.jpg,,\n"
    refs = list(table(written(tmp_path / "t.csv", text), images=images, license="by"))
    assert [(ref.uri, ref.label, ref.license) for ref in refs] == [
        ("a.jpg", "cat", "by"), ("sub/b c.jpg", "dog", "by"), ("./sub/../ü.jpg", None, "by"),
    ]  # fmt: skip
    found = [Path(input_of(1, ref.location).path or "").read_text("utf-8") for ref in refs]
    assert found == ["a.jpg", "sub/b c.jpg", "ü.jpg"]
    assert refs[0].meta == {"price": "3"}
    assert refs[0].source == "t"


def test_a_row_cannot_lead_out_of_the_folder(tmp_path: Path, images: Path) -> None:
    (images / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (images / "door").symlink_to(tmp_path)
    names = ["../secret.jpg", "sub/../../secret.jpg", f"{tmp_path}/secret.jpg", "/etc/passwd",
             "link.jpg", "door/secret.jpg", "../images-not/a.jpg"]  # fmt: skip
    refs = list(table(written(tmp_path / "t.csv", "\n".join(["image", *names])), images=images))
    assert [ref.uri for ref in refs] == names
    for ref in refs:
        assert why(ref) == f"bad-path: {ref.uri!r} lies outside the image folder"


def test_a_folder_s_absolute_paths_are_its_own(tmp_path: Path, images: Path) -> None:
    (tmp_path / "link").symlink_to(images)
    path = written(tmp_path / "t.csv", f"image\n{images}/a.jpg\na.jpg\n")
    assert all(ref.stamp != "missing" for ref in table(path, images=tmp_path / "link"))


def test_a_missing_file_is_an_input_that_fails(tmp_path: Path, images: Path) -> None:
    (images / "gone.jpg").symlink_to("nowhere.jpg")
    (images / "self.jpg").symlink_to("self.jpg")
    names = ["none.jpg", "sub/none.jpg", "gone.jpg", "self.jpg", "a.jpg/b.jpg", "x" * 300 + ".jpg"]
    refs = list(table(written(tmp_path / "t.csv", "\n".join(["image", *names])), images=images))
    assert [(ref.uri, ref.stamp) for ref in refs] == [(name, "missing") for name in names]
    assert all(input_of(1, ref.location).path for ref in refs)


def test_a_row_without_a_file_is_refused(tmp_path: Path, images: Path) -> None:
    os.mkfifo(images / "pipe.jpg")
    text = "label,image\ncat,\ncat,.\ncat,sub\ncat,pipe.jpg\ncat,a\0.jpg\ncat,a.jpg,more\n"
    refs = list(table(written(tmp_path / "t.csv", text), images=images))
    assert [why(ref) for ref in (*refs[:4], refs[5])] == [
        "bad-path: no file name", "bad-path: '.' is no file", "bad-path: 'sub' is no file",
        "bad-path: 'pipe.jpg' is no file", "bad-row: line 7 has 3 cells for 2 columns",
    ]  # fmt: skip
    assert (refs[0].uri, refs[4].uri, refs[4].stamp) == ("line 2", r"a\x00.jpg", "missing")


def test_a_changed_file_is_a_new_input(tmp_path: Path, images: Path) -> None:
    path = parquet(tmp_path / "t.parquet", image=["a.jpg"])
    (before,) = table(path, images=images)
    written(images / "a.jpg", "changed")
    (after,) = table(path, images=images)
    assert before.stamp != after.stamp


def test_a_table_without_its_folder_is_one_sentence(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "image\na.jpg\n")
    with pytest.raises(SourceError, match=r"^no folder .*/none for the images of .*/t\.csv$"):
        list(table(path, images=tmp_path / "none"))
    with pytest.raises(SourceError, match="no column 'file'"):
        list(table(path, images=tmp_path, image_column="file"))


# Sources of the user's.


def test_a_source_is_a_function_of_a_file(tmp_path: Path) -> None:
    path = written(
        tmp_path / "mine.py",
        "from autods.records import Ref\n"
        "def go(n: int):\n"
        "    for i in range(n):\n"
        "        yield Ref(uri=str(i), source='mine', location='http://a.org')\n",
    )
    assert [ref.uri for ref in load_source(f"{path}:go")(2)] == ["0", "1"]


BAD_FILES = {
    "x = 1": r"mine\.py has no function 'go' \(there: none\)",
    "def og(): ...\n_x = print": r"no function 'go' \(there: og\)",
    "def go(:": r"mine\.py cannot be run: SyntaxError: .*line 1",
    "import nowhere_at_all": r"cannot be run: ModuleNotFoundError: No module named",
    "raise SystemExit(3)": r"cannot be run: SystemExit: 3",
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_a_file_without_the_function_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "mine.py", text)
    with pytest.raises(UsageError, match=BAD_FILES[text]):
        load_source(f"{path}:go")


@pytest.mark.parametrize("name", ["go", "none.py:go", ":go", "", "none.py"])
def test_a_file_that_is_none_is_one_sentence(name: str) -> None:
    with pytest.raises(UsageError, match=r"give FILE\.py:FUNCTION, the file must exist"):
        load_source(name)


def test_sources_go_by_the_name_given_or_that_of_their_file() -> None:
    assert name_of("folder", {"folder": Path("/data/photos"), "name": None}) == "photos"
    assert name_of("table", {"table": Path("t.csv"), "name": ""}) == "t"
    assert name_of("table", {"table": Path("t.csv"), "name": "mine"}) == "mine"
    assert name_of("function", {"n": 3}) is None
