"""How a version is read back: working snippets for its places."""

import glob
import json
from pathlib import PurePath

from autods.report.facts import Facts
from autods.report.ranking import split_totals
from autods.report.wording import plain

# Images are opened by their content: webdataset itself decodes neither WebP nor TIFF.
_WEBDATASET = """\
import glob, io, json
import webdataset as wds
from PIL import Image

shards = sorted(glob.glob({pattern}))
samples = wds.WebDataset(shards, shardshuffle=False)
for data, facts in samples.to_tuple({extensions}, "json"):
    image, label = Image.open(io.BytesIO(data)), json.loads(facts)["label"]
    print(image.size, label)
    break"""

_DATASETS = """\
from datasets import load_dataset

data_files = {{
{files}
}}
data = load_dataset("{builder}", data_files=data_files)
print(data)"""

_PANDAS = """\
import pandas as pd

members = pd.read_parquet({path})
print(members.groupby(["label", "split"], dropna=False).size())"""

_EXTENSIONS = "jpg;png;webp;gif;bmp;tif;bin"


def loading(facts: Facts) -> str:
    """Write the card's section on loading, with the paths as the facts give them.

    Shown are the ways for which there is a place: `shards` for webdataset and datasets, `folder`
    for datasets, `parquet` for pandas. A version without members has nothing to load.
    """
    places, splits = facts.places, list(split_totals(facts.labels))
    if not splits or not {"shards", "folder", "parquet"} & set(places):
        return ""
    parts = ["## How to load it"]
    if "shards" in places:
        pattern = _quoted(_pattern(places["shards"], splits[0], "*.tar"))
        code = _WEBDATASET.format(pattern=pattern, extensions=_quoted(_EXTENSIONS))
        parts += ["webdataset, streaming one split:", _python(code)]
        code = _datasets("webdataset", places["shards"], splits, "*.tar")
        parts += ["Hugging Face datasets, from the same shards:", code]
    if "folder" in places:
        code = _datasets("imagefolder", places["folder"], splits, "**")
        parts += ["Hugging Face datasets, from the image folders:", code]
    if "parquet" in places:
        code = _python(_PANDAS.format(path=_quoted(places["parquet"])))
        parts += ["pandas, a row per member:", code]
    return "\n\n".join(parts)


def _datasets(builder: str, place: str, splits: list[str], name: str) -> str:
    lines = [f"    {_quoted(one)}: {_quoted(_pattern(place, one, name))}," for one in splits]
    return _python(_DATASETS.format(builder=builder, files="\n".join(lines)))


def _pattern(place: str, split: str, name: str) -> str:
    """Give the glob pattern of a split's files; the place itself may hold brackets and stars."""
    return (PurePath(glob.escape(place)) / split / name).as_posix()


def _python(code: str) -> str:
    return f"```python\n{code}\n```"


def _quoted(text: str) -> str:
    r"""Write text as a Python string with double quotes, whatever is in it.

    >>> print(_quoted('a "b" \x1b'))
    "a \"b\" \u001b"
    """
    return plain(json.dumps(text, ensure_ascii=False))
