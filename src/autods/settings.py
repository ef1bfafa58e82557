"""Reading YAML into checked records; an error names the file, line, key, value and choices."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from autods.errors import RecipeError

T = TypeVar("T")
Keys = tuple[str | int, ...]
"""Where a value stands in a document: ("sources", 0, "folder")."""


class Document:
    r"""A parsed YAML file that remembers the line of every key.

    >>> from pathlib import Path; from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "recipe.yaml"; _ = path.write_text("a: 1\nb:\n  c: 2\n")
    >>> document = Document(path); document.data, document.line(("b", "c"))
    ({'a': 1, 'b': {'c': 2}}, 3)
    """

    def __init__(self, path: Path) -> None:
        import yaml

        self.path = path
        self._lines: dict[Keys, int] = {}
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"cannot read the recipe {path}: {_why(error)}") from error
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            self.data = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise RecipeError(f"{path}:{line}: not YAML: {error.problem}") from error
        except yaml.YAMLError as error:
            raise RecipeError(f"{path}: not YAML: {error}") from error
        self._remember(node, ())
        if not isinstance(self.data, dict):
            raise RecipeError(f"{path}:1: a recipe is a mapping of keys, found {self.data!r}")

    def line(self, keys: Keys) -> int:
        """Give the line of a key, or of the nearest one around it."""
        while keys and keys not in self._lines:
            keys = keys[:-1]
        return self._lines.get(keys, 1)

    def error(self, keys: Keys, message: str) -> RecipeError:
        """Build the error for what stands at `keys`."""
        where = ".".join(str(key) for key in keys)
        prefix = f"{self.path}:{self.line(keys)}: "
        return RecipeError(prefix + (f"{where}: " if where else "") + message)

    def _remember(self, node: Any, keys: Keys) -> None:
        if node is None:
            return
        self._lines.setdefault(keys, node.start_mark.line + 1)
        if node.id == "mapping":
            for key, value in node.value:
                here = (*keys, key.value)
                if here in self._lines:
                    line = key.start_mark.line + 1
                    raise RecipeError(f"{self.path}:{line}: {key.value!r} stands here twice")
                self._lines[here] = key.start_mark.line + 1
                self._remember(value, here)
        elif node.id == "sequence":
            for index, value in enumerate(node.value):
                self._remember(value, (*keys, index))


def checked(kind: type[T], data: Any, document: Document, at: Keys = ()) -> T:
    """Turn parsed YAML into a dataclass `kind`; raises RecipeError with line, key and choices."""
    import pydantic

    _refuse_unknown(kind, data, document, at)
    try:
        return pydantic.TypeAdapter(kind).validate_python(data)
    except pydantic.ValidationError as error:
        raise _recipe_error(error, document, at) from error


def checked_call(
    function: Callable[..., Any], data: Mapping[str, Any], document: Document, at: Keys = ()
) -> dict[str, Any]:
    """Check keyword arguments against a function's own signature, and give them converted."""
    import pydantic

    parameters = signature(function).parameters
    fields: dict[str, Any] = {
        name: (p.annotation, ... if p.default is p.empty else p.default)
        for name, p in parameters.items()
    }
    for key in data:
        if key not in parameters:
            message = f"unknown key; {did_you_mean(str(key), parameters)}"
            raise document.error((*at, key), message)
    model = pydantic.create_model(function.__name__, **fields)
    try:
        values = model.model_validate(dict(data))
    except pydantic.ValidationError as error:
        raise _recipe_error(error, document, at) from error
    return {name: getattr(values, name) for name in parameters}


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Name the valid choices, the nearest first.

    >>> did_you_mean("foldr", ["urls", "folder"])
    "did you mean 'folder'? (valid: urls, folder)"
    """
    valid = list(choices)
    near = difflib.get_close_matches(word, valid, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}(valid: {', '.join(valid)})"


def _refuse_unknown(kind: Any, data: Any, document: Document, at: Keys) -> None:
    """Refuse keys that a dataclass, or one inside it, does not have: a typo is never ignored."""
    if not is_dataclass(kind) or not isinstance(data, Mapping):
        return
    hints = get_type_hints(kind)
    for key, value in data.items():
        if key not in hints:
            message = f"unknown key; {did_you_mean(str(key), hints)}"
            raise document.error((*at, key), message)
        _refuse_unknown(hints[key], value, document, (*at, key))


def _recipe_error(error: Any, document: Document, at: Keys) -> RecipeError:
    first = error.errors()[0]
    keys: Keys = (*at, *first["loc"])
    if first["type"] == "missing":
        return document.error(keys, "is missing")
    if first["type"] == "value_error":  # One of our own records refused itself: its words stand.
        return document.error(keys, str(first["ctx"]["error"]))
    message = first["msg"][:1].lower() + first["msg"][1:]
    return document.error(keys, f"{first['input']!r} will not do: {message}")


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
