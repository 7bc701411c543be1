"""What all settings share: frozen, and an unknown key is a mistake."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from components.settings.durations import parse_duration

Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


class Settings(BaseModel):
    """Base of all settings: frozen, and an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PluginSettings(Settings):
    """A class of the user's or of ours, named by its path, with the arguments it is made with."""

    class_path: str = Field(pattern=r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$", description="package.module.Class")
    init_args: dict[str, Any] = Field(default_factory=dict, description="Keyword arguments of the class.")
