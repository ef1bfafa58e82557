"""What a user sets: recipes in YAML, the environment and `.env`, and what of it may be shown."""

from autods.settings.access import S3Access
from autods.settings.databases import without_password
from autods.settings.document import (
    MOST_VALUES,
    Document,
    Given,
    Keys,
    checked,
    checked_call,
    did_you_mean,
)
from autods.settings.environment import KEYS, VARIABLES, Settings
from autods.settings.secrets import Secret, shown_url

__all__ = [
    "KEYS",
    "MOST_VALUES",
    "VARIABLES",
    "Document",
    "Given",
    "Keys",
    "S3Access",
    "Secret",
    "Settings",
    "checked",
    "checked_call",
    "did_you_mean",
    "shown_url",
    "without_password",
]
