"""Reading YAML into checked records; an error names the file, line, key, value and choices."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from autods.errors import RecipeError

T = TypeVar("T")
Keys = tuple[str | int, ...]
"""Where a value stands in a document: ("sources", 0, "folder")."""

MOST_VALUES = 100_000
"""More than any recipe holds; ten lines of aliases to aliases can stand for billions."""


class Document:
    r"""A parsed YAML file that remembers the line of every key.

    Plain words are read as in YAML 1.2: only `true` and `false` are truth values (`near: off` and
    `classes: [yes, no]` mean what they say), and a date is text.

    >>> from pathlib import Path; from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "recipe.yaml"; _ = path.write_text("a: 1\nb:\n  c: off\n")
    >>> document = Document(path); document.data, document.line(("b", "c"))
    ({'a': 1, 'b': {'c': 'off'}}, 3)
    """

    def __init__(self, path: Path) -> None:
        import yaml

        self.path = path
        self._lines: dict[tuple[str, ...], int] = {}
        self._values = 0
        text = self._read()
        try:
            loader = _loader(text)
            node = loader.get_single_node()
            self._remember(node, ())
            self.data: Any = None if node is None else loader.construct_document(node)
        except yaml.YAMLError as error:
            raise RecipeError(
                f"{path}:{_line_of(error, text)}: not YAML: {_what(error)}"
            ) from error
        except RecursionError as error:
            raise RecipeError(f"{path}:1: nested too deeply, or an alias inside itself") from error
        if not isinstance(self.data, dict):
            found = "nothing" if self.data is None else f"{self.data!r:.80}"
            raise RecipeError(f"{path}:1: a mapping of keys is wanted, found {found}")

    def line(self, keys: Keys) -> int:
        """Give the line of a key, or of the nearest one around it."""
        words = tuple(map(str, keys))
        while words and words not in self._lines:
            words = words[:-1]
        return self._lines.get(words, 1)

    def error(self, keys: Keys, message: str) -> RecipeError:
        """Build the error for what stands at `keys`."""
        where = ".".join(str(key) for key in keys)
        prefix = f"{self.path}:{self.line(keys)}: "
        return RecipeError(prefix + (f"{where}: " if where else "") + message)

    def there(self, keys: Keys) -> Keys:
        """Cut a path where the document ends; behind that stand the checker's own words."""
        value: Any = self.data
        for depth, key in enumerate(keys):
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return keys[:depth]
        return keys

    def _read(self) -> str:
        try:
            data = self.path.read_bytes()
            return data.decode("utf-8")
        except OSError as error:
            raise RecipeError(f"cannot read {self.path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            message = f"not UTF-8: byte 0x{data[error.start]:02x}; save it as UTF-8"
            raise RecipeError(f"{self.path}:{line}: {message}") from error

    def _remember(self, node: Any, words: tuple[str, ...]) -> None:
        if node is None:
            return
        line = node.start_mark.line + 1
        self._lines.setdefault(words, line)
        self._values += 1
        if self._values > MOST_VALUES:
            message = f"this stands for more than {MOST_VALUES:,} values: aliases of aliases?"
            raise RecipeError(f"{self.path}:{line}: {message}")
        if node.id == "mapping":
            for key, value in node.value:
                self._remember(value, self._noted(key, words))
        elif node.id == "sequence":
            for index, value in enumerate(node.value):
                self._remember(value, (*words, str(index)))

    def _noted(self, key: Any, words: tuple[str, ...]) -> tuple[str, ...]:
        here, line = (*words, str(key.value)), key.start_mark.line + 1
        if here in self._lines:
            raise RecipeError(f"{self.path}:{line}: {key.value!r} stands here twice")
        self._lines[here] = line
        return here


class Given(Document):
    """What a program says instead of a file; errors name it and the key.

    >>> Given({"a": 1}, "job 3").error(("a",), "is odd")
    RecipeError('job 3: a: is odd')
    """

    def __init__(self, data: Mapping[str, Any], name: str) -> None:
        self.name = name
        self.data = dict(data)

    def error(self, keys: Keys, message: str) -> RecipeError:
        """Build the error for what stands at `keys`."""
        return RecipeError(
            ": ".join([self.name, *([".".join(map(str, keys))] * bool(keys)), message])
        )


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
    """Check keyword arguments against a function's own signature, and give them converted.

    What has no annotation takes anything; a function with `**options` takes any key.
    """
    parameters = signature(function).parameters.values()
    named = {p.name: p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        _refuse_other(data, named, document, at)
    for name, parameter in named.items():
        if parameter.default is Parameter.empty and name not in data:
            raise document.error((*at, name), "is missing")
    defaults = {name: p.default for name, p in named.items() if name not in data}
    hints = _hints(function)
    given = {
        name: _converted(hints.get(name, Any), value, document, (*at, name))
        for name, value in data.items()
    }
    return defaults | given


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Name the valid choices, the nearest first.

    >>> did_you_mean("foldr", ["urls", "folder"])
    "did you mean 'folder'? (valid: urls, folder)"
    """
    valid = list(choices)
    near = difflib.get_close_matches(word, valid, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}(valid: {', '.join(valid)})"


def _loader(text: str) -> Any:
    """Make a YAML loader of 1.2's plain words that gives every error its line."""
    import yaml

    booleans, dates = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp"

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way to say so
            first: [(tag, form) for tag, form in known if tag not in (booleans, dates)]
            for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep)
            except (ValueError, KeyError, AttributeError) as error:
                message = f"{node.value!r:.80} is no {node.tag.rpartition(':')[2]}"
                raise yaml.constructor.ConstructorError(
                    None, None, message, node.start_mark
                ) from error

    words = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
    Loader.add_implicit_resolver(booleans, words, list("tTfF"))
    return Loader(text)


def _line_of(error: Any, text: str) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark:
        return int(mark.line) + 1
    return text.count("\n", 0, getattr(error, "position", 0)) + 1


def _what(error: Any) -> str:
    if hasattr(error, "problem"):
        return ", ".join(part for part in (error.context, error.problem) if part)
    return f"{error.reason} (#x{error.character:04x})"


def _refuse_unknown(kind: Any, data: Any, document: Document, at: Keys) -> None:
    """Refuse keys that a dataclass, or one inside it, does not have: a typo is never ignored."""
    if not is_dataclass(kind) or not isinstance(data, Mapping):
        return
    hints = get_type_hints(kind)
    _refuse_other(data, hints, document, at)
    for key, value in data.items():
        _refuse_unknown(hints[key], value, document, (*at, key))


def _refuse_other(
    data: Mapping[str, Any], valid: Iterable[str], document: Document, at: Keys
) -> None:
    for key in data:
        if key not in valid:
            raise document.error((*at, key), f"unknown key; {did_you_mean(str(key), valid)}")


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Give a function's annotations; those that name what cannot be found do not count."""
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError):
        return {}


def _converted(hint: Any, value: Any, document: Document, at: Keys) -> Any:
    import pydantic

    try:
        adapter = pydantic.TypeAdapter(hint)
    except pydantic.PydanticUserError:  # A type that only its function understands.
        return value
    try:
        return adapter.validate_python(value)
    except pydantic.ValidationError as error:
        raise _recipe_error(error, document, at) from error


_WANTED = {
    "dataclass_type": "a mapping of keys is wanted",
    "dict_type": "a mapping of keys is wanted",
    "list_type": "a list is wanted",
    "tuple_type": "a list is wanted",
    "path_type": "a path is wanted",
    "string_type": "text is wanted, in quotes if need be",
    "too_short": "at least one is wanted",
}


def _recipe_error(error: Any, document: Document, at: Keys) -> RecipeError:
    first = error.errors()[0]
    keys: Keys = (*at, *first["loc"])
    if first["type"] == "missing":
        return document.error(keys, "is missing")
    keys = document.there(keys)
    if first["type"] == "value_error":  # One of our own records refused itself: its words stand.
        return document.error(keys, str(first["ctx"]["error"]))
    message = _WANTED.get(first["type"]) or first["msg"][:1].lower() + first["msg"][1:]
    if first["input"] is None:
        return document.error(keys, f"is empty: {message}")
    return document.error(keys, f"{first['input']!r:.80} will not do: {message}")
