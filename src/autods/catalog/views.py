"""Seed 4's tables for whoever asks the database itself, as views over our own.

    assets      id, source_url, s3_key, checksum, license, source, status, created_at, updated_at
    features    asset_id, phash, clip_embedding, file_size, dimensions, extracted_at
    labels      asset_id, label, probability, labeled_at, label_function     (those in force)

An `id` is a UUID made of the first 128 bits of the asset's SHA-256: the same in every catalog.
"""

import sqlalchemy as sa

CLIP = "ViT-B/32"
"""The model whose vectors `features.clip_embedding` shows, as in seed 4."""


def create_views(db: sa.Connection, *, embeddings: bool) -> None:
    """Make the views anew; `embeddings` tells whether there is a table of them."""
    drop_views(db)
    say = _POSTGRES if db.dialect.name == "postgresql" else _SQLITE
    vector = ("e.vector", _JOIN) if embeddings else ("NULL", "")
    for name, body in (("assets", _ASSETS), ("features", _FEATURES), ("labels", _LABELS)):
        text = body.format(**say, vector=vector[0], join=vector[1])
        db.execute(sa.text(f"CREATE VIEW {name} AS {text}".replace(":", r"\:")))


def drop_views(db: sa.Connection) -> None:
    """Remove the views; tables of the same names that others have in the database stay."""
    namespace = "autods." if db.dialect.name == "postgresql" else ""
    for name in ("labels", "features", "assets"):
        db.execute(sa.text(f"DROP VIEW IF EXISTS {namespace}{name}"))


_JOIN = f"LEFT JOIN embeddings e ON e.asset_id = b.id AND e.model = '{CLIP}'"

_POSTGRES = {
    "uuid": "CAST(substr(b.sha256, 1, 32) AS uuid)",
    "hex": "lpad(to_hex(m.phash), 16, '0')",
    "json": "jsonb_build_object",
}

_SQLITE = {
    "uuid": "substr(b.sha256, 1, 8) || '-' || substr(b.sha256, 9, 4) || '-' || "
    "substr(b.sha256, 13, 4) || '-' || substr(b.sha256, 17, 4) || '-' || substr(b.sha256, 21, 12)",
    "hex": "printf('%016x', m.phash)",
    "json": "json_object",
}

_ASSETS = """
SELECT {uuid} AS id, r.uri AS source_url,
       'raw/' || substr(b.sha256, 1, 2) || '/' || b.sha256 AS s3_key, b.sha256 AS checksum,
       r.license AS license, r.source AS source,
       CASE WHEN EXISTS (SELECT 1 FROM ledger l WHERE l.asset_id = b.id
                         AND l.label <> '') THEN 'labeled'
            WHEN m.asset_id IS NOT NULL THEN 'processing' ELSE 'ingested' END AS status,
       b.created_at AS created_at, coalesce(m.extracted_at, b.created_at) AS updated_at,
       b.size AS size, b.tier AS tier
FROM blobs b
LEFT JOIN refs r ON r.id = (SELECT min(s.id) FROM refs s WHERE s.asset_id = b.id)
LEFT JOIN measures m ON m.asset_id = b.id
"""

_FEATURES = """
SELECT {uuid} AS asset_id, {hex} AS phash, {vector} AS clip_embedding, m.file_size AS file_size,
       {json}('width', m.width, 'height', m.height) AS dimensions, m.extracted_at AS extracted_at
FROM measures m JOIN blobs b ON b.id = m.asset_id {join}
"""

_LABELS = """
SELECT {uuid} AS asset_id, l.label AS label, l.probability AS probability,
       l.said_at AS labeled_at, l.said_by AS label_function, l.kind AS kind, d.name AS dataset
FROM ledger l
JOIN blobs b ON b.id = l.asset_id
JOIN datasets d ON d.id = l.dataset_id
WHERE l.label <> '' AND l.id = (
    SELECT n.id FROM ledger n
    WHERE n.dataset_id = l.dataset_id AND n.asset_id = l.asset_id AND n.label <> ''
      AND n.id = (SELECT max(o.id) FROM ledger o WHERE o.dataset_id = n.dataset_id
                  AND o.asset_id = n.asset_id AND o.kind = n.kind)
    ORDER BY CASE n.kind WHEN 'human' THEN 0 WHEN 'source' THEN 1 WHEN 'weak' THEN 2 ELSE 3 END
    LIMIT 1)
"""
