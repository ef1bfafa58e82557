"""Progress bars on a terminal: one line a step, with counts, rate and time left."""

from collections.abc import Collection
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import TaskID


class Bars:
    """Watches a run on stderr; elsewhere than on a terminal only the steps' names are printed.

    `parents` are steps that others are parts of: they are done when the next of them begins.
    """

    def __init__(self, parents: Collection[str] = ()) -> None:
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
        self._parents = frozenset(parents)
        self._tasks: dict[str, TaskID] = {}
        self._name = ""

    def step(self, name: str, total: int | None = None) -> None:
        """Begin a step, go on with one that was left, or say how much of it there is."""
        if name != self._name:
            self._leave(name)
            if self._plain and name not in self._tasks:
                self._progress.console.print(name, style="dim")
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(self._indented(name), total=total)
        elif total is not None:
            task = self._progress.tasks[self._tasks[name]]
            more = 0 if name == self._name else task.completed
            self._progress.update(task.id, total=total + more)
        self._name = name

    def advance(self, count: int = 1) -> None:
        """Note that some items are done."""
        if self._name:
            self._progress.advance(self._tasks[self._name], count)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is None:
            self._leave("")
        self._progress.stop()

    def _leave(self, new: str) -> None:
        """Tick off what a new step follows: the parts of its parent, or, after those, all."""
        outermost = not new or new in self._parents or not self._parents
        for name, task_id in self._tasks.items():
            if name == self._name or (outermost and name != new):
                task = self._progress.tasks[task_id]
                if outermost or name not in self._parents:
                    self._progress.update(
                        task_id, total=task.completed or 1, completed=task.total or 1
                    )

    def _indented(self, name: str) -> str:
        return name if name in self._parents or not self._parents else f"  {name}"
