"""Fitting text to a terminal: its width in cells, its height in lines, its encoding."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autods.report.wording import plain

if TYPE_CHECKING:
    from rich.text import Text

Part = tuple[str, str]
"""Text and its style, as rich names styles."""

_PLAINER = {"…": "...", "█": "#", "–": "-"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Screen:
    """How large a terminal is, and what it can write.

    A cell is the width of a Latin letter; Chinese, Japanese and Korean characters take two.
    """

    width: int
    height: int
    encoding: str = "utf-8"

    def safe(self, text: str) -> str:
        r"""Write text on one line with the characters that the encoding has.

        >>> Screen(width=80, height=24, encoding="ascii").safe("caf\u00e9\n\x1b[31m\u2026")
        'caf\\xe9 \\x1b[31m...'
        """
        text = plain(text).replace("\n", " ").replace("\t", " ")
        for mark, plainer in _PLAINER.items():
            if mark in text and not self._has(mark):
                text = text.replace(mark, plainer)
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)

    def _has(self, mark: str) -> bool:
        return mark == mark.encode(self.encoding, "replace").decode(self.encoding)

    def cut(self, text: str, cells: int) -> str:
        """Write text in at most so many cells, with dots where something is missing.

        >>> Screen(width=80, height=24).cut("transportation", 8)
        'transpo…'
        """
        from rich.cells import cell_len, chop_cells

        text = self.safe(text)
        if cell_len(text) <= cells:
            return text
        dots = self.safe("…")
        room = cells - cell_len(dots)
        return (chop_cells(text, room)[0] + dots) if room > 0 else dots[: max(cells, 0)]

    def left(self, text: str, cells: int) -> str:
        """Write text at the left of so many cells."""
        text = self.cut(text, cells)
        return text + " " * (cells - self.cells(text))

    def right(self, text: str, cells: int) -> str:
        """Write text at the right of so many cells."""
        text = self.cut(text, cells)
        return " " * (cells - self.cells(text)) + text

    def cells(self, text: str) -> int:
        """Count the cells that text takes on this screen."""
        from rich.cells import cell_len

        return cell_len(self.safe(text))

    def line(self, parts: Iterable[Part], *, whole: bool = False) -> "Text":
        """Join the parts to a line that is no wider than the screen, or `whole` however wide."""
        from rich.text import Text

        line = Text(no_wrap=True, overflow="ignore")
        for text, style in parts:
            room = self.width - line.cell_len
            line.append(self.safe(text) if whole else self.cut(text, room), style)
        line.rstrip()
        return line
