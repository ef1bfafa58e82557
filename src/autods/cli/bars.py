"""Progress bars on a terminal: one line a step, with counts, rate and time left."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import TaskID


class Bars:
    """Watches a run on stderr; elsewhere than on a terminal only the steps' names are printed."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        self._plain = not console.is_terminal
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description:<8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=self._plain,
        )
        self._task: TaskID | None = None
        self._name = ""

    def step(self, name: str, total: int | None = None) -> None:
        """Begin a step, or say how much of the one begun there is."""
        if self._task is not None and self._name == name:
            self._progress.update(self._task, total=total)
            return
        self._finish()
        self._name = name
        self._task = self._progress.add_task(name, total=total)

    def advance(self, count: int = 1) -> None:
        """Note that some items are done."""
        if self._task is not None:
            self._progress.advance(self._task, count)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is None:
            self._finish()
        self._progress.stop()

    def _finish(self) -> None:
        if self._task is not None:
            task = self._progress.tasks[self._task]
            self._progress.update(self._task, total=task.completed or 1, completed=task.total or 1)
