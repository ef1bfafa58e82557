import subprocess
import sys

import pytest

from autods import export


def test_every_name_of_the_package_is_there() -> None:
    for name in export.__all__:
        assert getattr(export, name).__name__ == name
    with pytest.raises(AttributeError, match="'wirte_folder'"):
        _ = export.wirte_folder


def test_the_package_is_imported_without_its_libraries() -> None:
    code = (
        "import sys, autods.export as e; [getattr(e, name) for name in e.__all__]; "
        "print({'numpy', 'pyarrow', 'PIL', 'webdataset'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
