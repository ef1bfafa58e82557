"""What a person sees of a dataset version, each a pure function of `facts.Facts`.

`html` makes report.html, one page that needs nothing else; `card` dataset_info.md; `manifest`
manifest.json and version.txt; `write` puts all four in a folder; `summary` fills one screen of
the terminal and answers `--json`.
"""
