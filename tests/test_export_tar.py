import hashlib
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autods.errors import PlaceError, UsageError
from autods.export.tar import RECORD, TarWriter, header, tar_index

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
NEEDS_DATA = pytest.mark.skipif(
    not DATA.exists() and not os.environ.get("CI"), reason="the shared data is not here"
)
NAMES = st.text(
    st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=100
).filter(lambda name: name[-1] != "/")


def write(path: Path, count: int = 5) -> TarWriter:
    with TarWriter(path, checksum=True) as archive:
        for i in range(count):
            archive.add(f"{i:04d}", [("jpg", b"j" * (i * 300)), ("json", b"{}")])
    return archive


@given(name=NAMES, size=st.integers(0, 8**11 - 1))
def test_a_header_says_what_python_reads_in_it(name: str, size: int) -> None:
    entry = tarfile.TarInfo.frombuf(header(name, size), "ascii", "strict")
    told = (entry.size, entry.mode, entry.uid, entry.gid, entry.mtime, entry.type)
    assert told == (size, 0o644, 0, 0, 0, tarfile.REGTYPE)
    assert entry.name == name


def test_a_header_is_the_one_that_python_writes() -> None:
    entry = tarfile.TarInfo("0001.jpg")
    entry.size = 61_440
    theirs = entry.tobuf(tarfile.USTAR_FORMAT)
    devices = slice(329, 345)  # Device numbers, which mean nothing for a file: zeros or nothing.
    ours = header("0001.jpg", 61_440)
    assert ours[:148] + ours[156:329] + ours[345:] == theirs[:148] + theirs[156:329] + theirs[345:]
    assert set(ours[devices]) <= set(b"0\0")


@pytest.mark.parametrize("name", ["", "a" * 101, "a b.jpg", "é.jpg", "a\n.jpg", "a\0.jpg", "a/"])
def test_a_name_that_needs_another_header_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="1 to 100 printable ASCII"):
        header(name, 0)


def test_a_file_of_8_gib_is_refused() -> None:
    with pytest.raises(UsageError, match="8 GiB"):
        header("a.jpg", 8**11)


def test_an_archive_is_read_by_python_and_by_gnu_tar(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    write(path)
    names = [f"{i:04d}.{ext}" for i in range(5) for ext in ("jpg", "json")]
    with tarfile.open(path) as archive:
        assert archive.getnames() == names
        sizes = [entry.size for entry in archive if entry.name.endswith("jpg")]
    assert sizes == [0, 300, 600, 900, 1200]
    listed = subprocess.run(["tar", "-tf", path], capture_output=True, text=True, check=True)
    assert (listed.stdout.split(), listed.stderr) == (names, "")


def test_an_archive_ends_in_two_zero_blocks_and_fills_a_record(tmp_path: Path) -> None:
    for count in (0, 1, 9, 10):
        archive = write(tmp_path / "a.tar", count)
        data = archive.path.read_bytes()
        assert len(data) == archive.size
        assert len(data) % RECORD == 0
        assert data.endswith(bytes(1024))


def test_the_index_and_the_checksum_made_while_writing_are_those_of_the_file(
    tmp_path: Path,
) -> None:
    archive = write(tmp_path / "a.tar", count=700)
    data = archive.path.read_bytes()
    assert archive.count == 700
    assert archive.sha256 == hashlib.sha256(data).hexdigest()
    assert archive.index == tar_index(archive.path)
    fields = archive.index.splitlines()[1:][3].split()
    assert fields[0] == "jpg"
    assert data[int(fields[1]) :][: int(fields[2])] == b"j" * 900


def test_the_checksum_must_have_been_asked_for(tmp_path: Path) -> None:
    with TarWriter(tmp_path / "a.tar") as archive:
        archive.add("0001", [("cls", b"1")])
    with pytest.raises(UsageError, match="checksum=True"):
        _ = archive.sha256


def test_a_sample_of_many_parts_is_written_whole(tmp_path: Path) -> None:
    parts = [(f"p{i}", b"%d" % i) for i in range(2000)]
    with TarWriter(tmp_path / "a.tar") as archive:
        archive.add("0001", parts)
    assert archive.index == tar_index(archive.path)
    with tarfile.open(archive.path) as read:
        assert len(read.getnames()) == 2000


def test_a_disk_that_refuses_is_a_place_error(tmp_path: Path) -> None:
    with pytest.raises(PlaceError, match="cannot write"):
        TarWriter(tmp_path / "missing" / "a.tar")
    full = Path("/dev/full")
    if full.exists():
        with pytest.raises(PlaceError, match="No space left"), TarWriter(full) as archive:
            archive.add("0001", [("jpg", b"j")])


@NEEDS_DATA
@pytest.mark.parametrize("name", ["sample", "mpdata", "testgz", "compressed"])
def test_the_index_of_others_archives_is_that_of_dali(name: str) -> None:
    expected = (DATA / "wds" / f"{name}.idx").read_text()
    assert tar_index(DATA / "wds" / f"{name}.tar") == expected


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_the_index_skips_what_is_no_sample(tmp_path: Path, form: int) -> None:
    path = tmp_path / "a.tar"
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    long = "n" * 90 + ".seg.png"
    for name in ("d/1.jpg", "d/1.json", f"d/{long}", "d/.hidden.jpg", "d/bare", "2.jpg"):
        (tree / name).write_bytes(name.encode())
    (tree / "3.jpg").symlink_to("2.jpg")
    with tarfile.open(path, "w", format=form) as archive:
        for name in ("d/1.jpg", "d/1.json", f"d/{long}", "d/.hidden.jpg", "d/bare", "2.jpg"):
            archive.add(tree / name, name)
        archive.add(tree / "3.jpg", "3.jpg")
        archive.add(tree / "d", "d", recursive=False)
    lines = tar_index(path).splitlines()
    assert lines[0] == "v1.2 3"
    names = [line.split()[3::4] for line in lines[1:]]
    assert names == [["d/1.jpg", "d/1.json"], [f"d/{long}"], ["2.jpg"]]
    ext, offset, size, name = lines[2].split()
    assert ext == "seg.png"
    assert path.read_bytes()[int(offset) :][: int(size)] == name.encode()


def test_what_is_no_archive_has_no_index(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no" * 1000)
    for path in (tmp_path / "a.tar", tmp_path / "missing.tar"):
        with pytest.raises(PlaceError, match="uncompressed tar"):
            tar_index(path)
