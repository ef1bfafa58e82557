"""autods: a dataset factory. Growing raw sources in; immutable dataset versions out."""

__version__ = "0.1.0"
