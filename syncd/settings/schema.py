"""Every setting with its default, its unit and its reason, as the contract's TOML block has them.

Filled and checked by `load`, read by `resolve` and `show`. Values stay as they were written ("25%", "5m"), checked by
the parsers of `values`, so that they can be shown as they were meant. Reads nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from syncd.settings import values


def _checked(parse: Callable[[str], object]) -> AfterValidator:
    """Keep the text as it is if `parse` takes it."""

    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _count_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Name = Annotated[str, AfterValidator(values.check_name)]
Text = Annotated[str, AfterValidator(_not_empty)]
Pattern = Annotated[Text, _checked(values.parse_pattern)]
Duration = Annotated[str, _checked(values.parse_duration)]
MaxDeleteText = Annotated[str, BeforeValidator(_count_as_text), _checked(values.parse_max_delete)]

_TABLE = ConfigDict(extra="forbid", frozen=True)


class LogSettings(BaseModel):
    model_config = _TABLE

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class StatusSettings(BaseModel):
    """The daemon's status server."""

    model_config = _TABLE

    listen: Annotated[str, AfterValidator(values.check_listen)] = ""


class RemoteSettings(BaseModel):
    """One account. `requests_per_second` 0: adapt to what the remote says (429, Retry-After)."""

    model_config = _TABLE

    kind: Literal["losant", "losant-private", "privasfer", "sandbox"]
    application_id: Annotated[str, AfterValidator(values.check_application_id)] | None = None
    token: SecretStr | None = None
    token_file: Text | None = None
    api_url: Annotated[str, AfterValidator(values.check_api_url)] | None = None
    requests_per_second: Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)] = 0
    max_connections: Annotated[int, Field(ge=1, le=1000)] = 32


class JobSettings(BaseModel):
    """One mirror. `settle`, `settle_max`, `rescan` and `on_stop` are the daemon's."""

    model_config = _TABLE

    source: Text
    destination: Annotated[str, _checked(values.parse_destination)]
    include: list[Pattern] = []
    exclude: list[Pattern] = []
    delete: Literal["never", "tracked", "mirror"] = "tracked"
    max_delete: MaxDeleteText = "25%"
    workers: Annotated[int, Field(ge=1, le=256)] = 16
    settle: Duration = "500ms"
    settle_max: Duration = "5m"
    rescan: Duration = "1h"
    on_drift: Literal["overwrite", "keep", "copy"] = "overwrite"
    symlinks: Literal["skip", "follow"] = "skip"
    empty_directories: bool = True
    trash: Annotated[str, _checked(values.parse_directory)] = ""
    trash_keep: Duration = "30d"
    bandwidth: Annotated[str, _checked(values.parse_bandwidth)] = ""
    order: Literal["small-first", "newest-first"] = "small-first"
    drain: Duration = "8s"
    on_stop: Literal["drain", "flush"] = "drain"


class Settings(BaseSettings):
    """The whole configuration. `state_dir` None: chosen by `resolve` from the environment."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="SYNCD_", env_nested_delimiter="__", case_sensitive=False
    )

    state_dir: Text | None = None
    log: LogSettings = LogSettings()
    status: StatusSettings = StatusSettings()
    remotes: dict[Name, RemoteSettings] = {}
    jobs: dict[Name, JobSettings] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what it is given: `load` reads the sources one by one, because it keeps where each value came from."""
        return (init_settings,)
