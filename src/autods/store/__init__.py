"""Where bytes lie: a store maps keys to immutable blobs; an asset is named by its SHA-256."""

from autods.store.across import copy_between, copy_many
from autods.store.assets import (
    RAW,
    asset_key,
    put_assets,
    read_asset,
    read_assets,
    sha256_in,
    sha256_of,
)
from autods.store.carrying import carry
from autods.store.local import LocalStore
from autods.store.near import NearStore, far_of
from autods.store.opening import open_store
from autods.store.protocol import DeniedError, Entry, MissingError, Store
from autods.store.s3 import S3Store
from autods.store.tiered import Tier, TieredStore

__all__ = [
    "RAW",
    "DeniedError",
    "Entry",
    "LocalStore",
    "MissingError",
    "NearStore",
    "S3Store",
    "Store",
    "Tier",
    "TieredStore",
    "asset_key",
    "carry",
    "copy_between",
    "copy_many",
    "far_of",
    "open_store",
    "put_assets",
    "read_asset",
    "read_assets",
    "sha256_in",
    "sha256_of",
]
