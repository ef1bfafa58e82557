"""A small team's predictions: a database, photos, gold; and the trees that autods makes of them."""

import datetime as dt
import io
import json
import sqlite3
import uuid
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from autods.recipes.candidates.config import Given, read_candidates
from autods.recipes.candidates.running import daily, monthly

TABLE = """
CREATE TABLE user_styles (
    id TEXT PRIMARY KEY, user_id TEXT NOT NULL, photo_url TEXT, photo_urls TEXT,
    style_id TEXT NOT NULL, initial_prediction TEXT, confidence REAL, is_verified BOOLEAN,
    verified_by INT, verified_at TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
)"""
COLUMNS = (
    "id", "user_id", "photo_url", "photo_urls", "style_id", "initial_prediction", "confidence",
    "is_verified", "verified_by", "verified_at", "created_at", "updated_at",
)  # fmt: skip


def picture(seed: int, *, quality: int = 92, kind: str = "JPEG", side: int = 160) -> bytes:
    """Another picture for each seed; another `quality` or `kind` is the same one in other bytes."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    image = Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    image.save(out, kind, **({} if kind == "PNG" else {"quality": quality}))
    return out.getvalue()


class Team:
    """A folder with everything in it, and a recipe that says so."""

    def __init__(self, root: Path, recipe: str = "") -> None:
        self.root = root
        (root / "photos").mkdir(parents=True, exist_ok=True)
        self.recipe = root / "candidates.yaml"
        self.recipe.write_text(f"database: predictions.db\nphotos: photos\n{recipe}")
        with closing(sqlite3.connect(root / "predictions.db")) as db:
            db.execute(TABLE)
            db.commit()

    @property
    def given(self) -> Given:
        return read_candidates(self.recipe)

    def predict(self, name: str, created: str, *photos: bytes | str | None, **said: Any) -> str:
        """Add a prediction; photos are bytes to be put there, or URLs as they are."""
        urls = []
        for number, photo in enumerate(photos):
            if isinstance(photo, bytes):
                self.put(key := f"users/{name}-{number}.jpg", photo)
                urls.append(key)
            else:
                urls.append(photo)  # type: ignore[arg-type]
        row = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
            "user_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"user {name}")),
            "photo_urls": json.dumps(urls), "style_id": "Soft", "initial_prediction": "Soft",
            "confidence": 0.5, "is_verified": False, "created_at": created, "updated_at": created,
        }  # fmt: skip
        row |= said
        marks = ", ".join("?" for _ in COLUMNS)
        self._do(f"INSERT INTO user_styles VALUES ({marks})", *map(row.get, COLUMNS))
        return str(row["id"])

    def change(self, prediction: str, at: str, **said: Any) -> None:
        """Change a row as its owner does, at a time."""
        said["updated_at"] = at
        columns = ", ".join(f"{name} = ?" for name in said)
        self._do(f"UPDATE user_styles SET {columns} WHERE id = ?", *said.values(), prediction)

    def verify(self, prediction: str, at: str, style: str) -> None:
        self.change(prediction, at, style_id=style, is_verified=True, verified_by=7, verified_at=at)

    def delete(self, prediction: str) -> None:
        self._do("DELETE FROM user_styles WHERE id = ?", prediction)

    def _do(self, statement: str, *values: Any) -> None:
        with closing(sqlite3.connect(self.root / "predictions.db")) as db:
            db.execute(statement, values)
            db.commit()

    def put(self, key: str, data: bytes) -> None:
        path = self.root / "photos" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def gold(self, path: str, data: bytes) -> None:
        file = self.root / "datasets" / "gold" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def daily(self, day: str) -> dict[str, Any]:
        return daily(self.root, self.given, dt.date.fromisoformat(day))

    def monthly(self, month: str) -> dict[str, Any]:
        year, number = map(int, month.split("-"))
        return monthly(self.root, self.given, year, number)

    def folder(self, name: str) -> "Laid":
        return Laid(self.root / "datasets" / name)


class Laid:
    """A folder that autods has laid out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest: dict[str, Any] = json.loads((path / "manifest.json").read_text())
        self.samples = _rows(path / "samples.parquet")
        self.excluded = _rows(path / "excluded.parquet")

    @property
    def objects(self) -> list[str]:
        """The images that lie there."""
        found = (path.relative_to(self.path).as_posix() for path in self.path.rglob("*.*"))
        return sorted(name for name in found if "/" in name)

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why each photo that is not there is not, by what its row says."""
        return {row["uri"]: row["reason"] for row in self.excluded}

    def assert_sound(self) -> None:
        """What the folder says of itself is what lies in it."""
        told = self.manifest
        assert self.objects == sorted(row["path"] for row in self.samples)
        assert told["total_images"] == len(self.objects) == sum(told["class_distribution"].values())
        assert told["total_images"] == told["gold_images"] + told["new_images"]


def _rows(path: Path) -> list[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        return list(file.read(use_threads=False).to_pylist())
