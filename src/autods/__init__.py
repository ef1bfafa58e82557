"""autods: a dataset factory. Growing raw sources in; immutable dataset versions out.

The names below are imported from their modules on first use, so that `import autods` is quick.

>>> import autods
>>> autods.ABSTAIN
-1
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autods.export import create_shards
    from autods.label import LabelingFunction, LabelModel, MajorityLabelVoter, labeling_function
    from autods.records import ABSTAIN, Ref, Refusal
    from autods.sdk import IngestClient, build, extract_pHash, preprocess_asset
    from autods.workspace import Workspace, init, open

__version__ = "0.1.0"

_HOMES = {
    "ABSTAIN": "records",
    "IngestClient": "sdk",
    "LabelModel": "label",
    "LabelingFunction": "label",
    "MajorityLabelVoter": "label",
    "Ref": "records",
    "Refusal": "records",
    "Workspace": "workspace",
    "build": "sdk",
    "create_shards": "export",
    "extract_pHash": "sdk",
    "init": "workspace",
    "labeling_function": "label",
    "open": "workspace",
    "preprocess_asset": "sdk",
}

__all__ = [
    "ABSTAIN",
    "IngestClient",
    "LabelModel",
    "LabelingFunction",
    "MajorityLabelVoter",
    "Ref",
    "Refusal",
    "Workspace",
    "build",
    "create_shards",
    "extract_pHash",
    "init",
    "labeling_function",
    "open",
    "preprocess_asset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
