"""Labeling functions from a user's Python file, as a recipe names it."""

import ast
import hashlib
import linecache
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from autods.errors import UsageError
from autods.label.functions import LabelingFunction


def load_functions(path: Path) -> list[LabelingFunction]:
    """Run a Python file and give its labeling functions in the order of definition.

    They are those that the file's names, or its lists and tuples, hold. Each file is run anew and
    never read from a cache of bytecode, so that an edit always counts. The functions do not travel
    to another process: a worker loads the file itself. Raises UsageError, naming file and line, for
    a missing file, a file that does not run, one without labeling functions, and two of one name.
    """
    text = _read(path)
    tree = _parsed(text, path)
    _refuse_twice_defined(tree, path)
    functions = list(_labeling_functions(_run(tree, path)))
    if not functions:
        raise UsageError(f"{path} defines no labeling function{_hint(tree)}")
    names = Counter(function.name for function in functions)
    for function in functions:
        if names[function.name] > 1:
            raise UsageError(f"{path} has {names[function.name]} functions named {function.name!r}")
        _ = function.fingerprint
    return functions


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the labeling functions of {path}: {error}") from error


def _parsed(text: str, path: Path) -> ast.Module:
    try:
        return ast.parse(text, filename=str(path))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise UsageError(f"{path}, line {line}: {type(error).__name__}: {error}") from error


def _refuse_twice_defined(tree: ast.Module, path: Path) -> None:
    lines: dict[str, int] = {}
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or not node.decorator_list:
            continue
        if node.name in lines:
            raise UsageError(
                f"{path}, line {node.lineno}: {node.name!r} is defined already"
                f" on line {lines[node.name]}"
            )
        lines[node.name] = node.lineno


def _run(tree: ast.Module, path: Path) -> ModuleType:
    # A module of its own in sys.modules is what dataclasses and pickle expect of running code.
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    module = ModuleType(f"autods_labels_{digest[:12]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    linecache.checkcache(str(path))
    try:
        exec(compile(tree, str(path), "exec"), module.__dict__)  # noqa: S102
    except (Exception, SystemExit) as error:
        line = _line(error, path)
        raise UsageError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
    return module


def _line(error: BaseException, path: Path) -> int:
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno or 1 for f in reversed(frames) if f.filename == str(path)), 1)


def _labeling_functions(module: ModuleType) -> Iterator[LabelingFunction]:
    seen: set[int] = set()
    for value in vars(module).copy().values():
        for item in value if isinstance(value, list | tuple) else (value,):
            if isinstance(item, LabelingFunction) and id(item) not in seen:
                seen.add(id(item))
                yield item


def _hint(tree: ast.Module) -> str:
    bare = [n.name for n in tree.body if isinstance(n, ast.FunctionDef) and not n.decorator_list]
    where = f" above {', '.join(map(repr, bare))}" if bare else ""
    return f"; write @labeling_function(){where}"
