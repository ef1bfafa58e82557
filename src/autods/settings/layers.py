"""Where settings are found: the environment, `.env` and the recipe, each value with its origin."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autods.errors import UsageError
from autods.settings.document import did_you_mean
from autods.settings.envfile import read_env_file
from autods.settings.secrets import shown_url

OURS = "AUTODS_"

# Kubernetes tells every pod of every service in these ways; they are nobody's settings.
_SERVICE = r"\w+_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)?)"
_SERVICE_URL = r"(?:tcp|udp|sctp)://[^/\s]+:\d+"


@dataclass(frozen=True, repr=False)
class Found:
    """A value as it was written, and where: `origin` for people to see, `where` for an error.

    A relative path begins at `base`; None leaves it as it is. `missing` is a `${NAME}` in the
    value that is set nowhere.
    """

    text: str
    origin: str
    where: str
    base: Path | None = None
    missing: str = ""

    def refused(self, wanted: str, *, secret: bool = False) -> UsageError:
        """Build the error for this value, which is shown without what may be a password."""
        value = "what is there" if secret else f"{_hidden(self.text)!r:.80}"
        return UsageError(f"{self.where}: {value} will not do: {wanted}")


def from_environment(environment: Mapping[str, str]) -> dict[str, Found]:
    """Give what the environment sets; an empty variable is an unset one."""
    return {
        name: Found(text, f"environment {name}", f"{name} in the environment", Path())
        for name, text in environment.items()
        if text and not (name.endswith("_PORT") and re.fullmatch(_SERVICE_URL, text))
    }


def from_env_file(path: Path, environment: Mapping[str, str]) -> dict[str, Found]:
    """Give what a `.env` sets; its relative paths begin at its folder."""
    return {
        name: Found(
            line.value,
            f"{path.name}:{line.number} {name}",
            f"{path}:{line.number}: {name}",
            path.parent,
            line.missing,
        )
        for name, line in read_env_file(path, environment).items()
        if line.value or line.missing
    }


def from_recipe(recipe: Mapping[str, Any], known: Mapping[str, bool]) -> dict[str, Found]:
    """Give what a recipe sets, by the settings' own keys; `known` tells which are secret.

    Raises UsageError for an unknown key, and for a secret: a recipe is kept with every version.
    """
    found = {}
    for key, value in recipe.items():
        if key not in known:
            raise UsageError(f"{key} in the recipe: unknown key; {did_you_mean(key, known)}")
        if known[key]:
            raise UsageError(
                f"{key} in the recipe: a recipe is kept with every version and shown: "
                f"set {key.upper()} in the environment or in .env"
            )
        if isinstance(value, bool) or not isinstance(value, str | int | float | Path | None):
            raise UsageError(f"{key} in the recipe: {value!r:.80} will not do: text is wanted")
        if value is not None and value != "":
            found[key] = Found(str(value), "recipe", f"{key} in the recipe")
    return found


def refuse_unknown(layer: Mapping[str, Found], known: Mapping[str, str]) -> None:
    """Refuse a variable of our own namespace that nobody reads: a typo is never ignored."""
    ours = [name for name in known if name.startswith(OURS)]
    for name, found in layer.items():
        if name.startswith(OURS) and name not in known and not re.fullmatch(_SERVICE, name):
            raise UsageError(f"{found.where}: unknown variable; {did_you_mean(name, ours)}")


def _hidden(text: str) -> str:
    """Hide whatever stands before an @: what will not do is no URL to be taken apart."""
    head, at, tail = text.rpartition("@")
    if not at:
        return shown_url(text)
    scheme, separator, _ = head.rpartition("://")
    return f"{scheme}{separator}***@{tail}"
