"""What a crawl knows, as tables: the pages it has seen and is to see, and the images on them.

    crawls --< pages        one row a URL and source: where it stands in the queue, what it said
        +----< images       the images found, in the order of the pages they were found on
        +----< robots       what each host allows

A crawl is a source of a dataset; each time it runs is a `round`. Rows stay from round to round,
with the validators of the last answer, so that a later round only fetches what has changed.
"""

from sqlalchemy import JSON, BigInteger, Column, DateTime, Index, Integer, Table, UniqueConstraint

from autods.catalog.columns import ID, TEXT, dataset, metadata

crawls = Table(
    "crawls",
    metadata,
    Column("id", ID, primary_key=True),
    dataset(),
    # The name of the source, as its refs carry it.
    Column("source", TEXT, nullable=False),
    Column("round", Integer, nullable=False),
    Column("scope", JSON, nullable=False),
    # How far it is: places given in the queue, and of these, how many have led on; places given
    # to images, and of these, how many are cleared to be fetched, or refused.
    Column("queued", BigInteger, nullable=False),
    Column("expanded", BigInteger, nullable=False),
    Column("imaged", BigInteger, nullable=False),
    Column("cleared", BigInteger, nullable=False),
    Column("stats", JSON, nullable=False),
    Column("started_at", DateTime, nullable=False),
    Column("finished_at", DateTime),
    UniqueConstraint("dataset_id", "source", "round"),
)

pages = Table(
    "pages",
    metadata,
    Column("id", ID, primary_key=True),
    dataset(),
    Column("source", TEXT, nullable=False),
    Column("url", TEXT, nullable=False),
    # The round that has seen it last, its place in that round's queue, how far it is from a seed,
    # and how many redirects lie right before it.
    Column("round", Integer, nullable=False),
    Column("ordinal", BigInteger, nullable=False),
    Column("depth", Integer, nullable=False),
    Column("hops", Integer, nullable=False),
    Column("kind", TEXT, nullable=False),
    # The outcome in that round; NULL until there is one.
    Column("status", TEXT),
    Column("reason", TEXT),
    Column("detail", TEXT),
    Column("fetched_at", DateTime),
    Column("etag", TEXT),
    Column("last_modified", TEXT),
    # What its text led to, kept for the round in which the server says it has not changed; and
    # who read it: another reader has to have the text again.
    Column("found", JSON),
    Column("reader", TEXT),
    UniqueConstraint("dataset_id", "source", "url"),
    Index(None, "dataset_id", "source", "round", "ordinal"),
)

images = Table(
    "images",
    metadata,
    Column("id", ID, primary_key=True),
    dataset(),
    Column("source", TEXT, nullable=False),
    Column("url", TEXT, nullable=False),
    Column("round", Integer, nullable=False),
    Column("ordinal", BigInteger, nullable=False),
    # Which bytes of that URL: it changes when the server says that they did.
    Column("stamp", TEXT, nullable=False, default=""),
    Column("license", TEXT),
    Column("caption", TEXT),
    Column("meta", JSON, nullable=False),
    # Why it is not to be fetched; NULL if it is.
    Column("reason", TEXT),
    Column("detail", TEXT),
    # The first round that has seen it, and the last one that asked whether its bytes changed.
    Column("first_round", Integer, nullable=False),
    Column("checked", Integer),
    UniqueConstraint("dataset_id", "source", "url"),
    Index(None, "dataset_id", "source", "round", "ordinal"),
)

robots = Table(
    "robots",
    metadata,
    Column("id", ID, primary_key=True),
    dataset(),
    Column("source", TEXT, nullable=False),
    # scheme://host:port
    Column("origin", TEXT, nullable=False),
    Column("round", Integer, nullable=False),
    # Of the answer, 0 if there was none; `detail` says why the text could not be had.
    Column("status", Integer, nullable=False),
    Column("text", TEXT),
    Column("detail", TEXT),
    Column("etag", TEXT),
    Column("last_modified", TEXT),
    Column("fetched_at", DateTime, nullable=False),
    UniqueConstraint("dataset_id", "source", "origin"),
)
