"""Settings of the runtime, from the environment; every one has a default, a meaning and bounds.

`python -m gateways.settings` prints them as a table in Markdown, for `docs/operations.md`.
"""

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from consumers.layout import Layout
from consumers.limits import (
    APPEND_DEADLINE_S,
    HINT_EVERY_S,
    MAX_BATCH,
    MAX_BATCH_BYTES,
    MAX_BATCH_S,
    MAX_SET_ASIDE,
    SNAPSHOT_EVERY,
)
from schemas.catalog import FAMILIES
from schemas.values import MAX_PARTITIONS

PREFIX: Final = "GRIDBOOK_"
PARENT: Final = "GRIDBOOK_PARENT"
"""No setting: by this variable `gridbook up` tells a child which descriptor ends with its parent."""

_FREQUENT: Final = {"market": 1, "programme": 1}

_MOST_TICKS: Final = 86_400

PerFamily = Annotated[dict[str, int], NoDecode]
Generations = Annotated[dict[str, tuple[int, ...]], NoDecode]


class InvalidSettings(ValueError):
    """The environment sets something that is no setting, or not to what it may be; one sentence for each."""


class Settings(BaseSettings):
    """What may be set. A name in lower case here is `GRIDBOOK_` and the name in capitals in the environment;
    an empty variable is as none."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", env_ignore_empty=True, env_parse_none_str="none", populate_by_name=True
    )

    data: Path = Field(
        Path(".gridbook/demo"), description="Folder of the local servers, the deployment's name and the vault's key."
    )
    deployment: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9_]{0,39}$",
        description="Prefix of topics, groups and transactional ids, and name of the schema of the views."
        " None: the name that was drawn for the data folder.",
    )
    database_url: SecretStr | None = Field(
        None,
        validation_alias="DATABASE_URL",
        description="PostgreSQL, as `postgresql://user:password@host:5432/database`. None: a local one is started.",
    )
    kafka_bootstrap: str | None = Field(
        None,
        validation_alias="KAFKA_BOOTSTRAP",
        description="Kafka, as `host:port,host:port`. None: where Kafka is asked for, a local broker is started.",
    )

    families: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Families that this process works on, as `market,meter`. Empty: all."
    )
    partitions: int = Field(1, ge=1, le=MAX_PARTITIONS, description="Partitions a family; part of the record.")
    family_partitions: Generations = Field(
        {},
        description="Other numbers of partitions for some families, as `market=8,meter=4+16`; part of the record."
        " `4+16`: it began with 4, and `gridbook topics grow` gave it 16.",
    )
    replication_factor: int = Field(3, ge=1, le=16, description="Copies of a topic. A local broker keeps 1.")
    min_insync_replicas: int = Field(
        2, ge=1, le=16, description="Copies that must stand before an append counts. With a local broker 1."
    )

    tick_ms: int = Field(1_000, ge=10, le=3_600_000, json_schema_extra={"unit": "ms"}, description="Length of a tick.")
    tick_every: int = Field(60, ge=1, le=_MOST_TICKS, description="A family gets every so many-th tick.")
    family_tick_every: PerFamily = Field(
        _FREQUENT, description="Other multiples for some families, as `market=1,programme=1`."
    )

    standby: bool = Field(
        False,
        description="Deciders follow every partition ahead of time and ask for partitions when they have caught up.",
    )
    snapshots: Path | None = Field(
        None,
        description="Folder of the snapshots, one in it for each deployment. None: `snapshots` in the data folder.",
    )
    snapshot_every: int = Field(
        SNAPSHOT_EVERY, ge=1_000, le=100_000_000, description="Records between two snapshots of a partition."
    )

    batch_commands: int = Field(MAX_BATCH, ge=1, le=10_000, description="Commands of one append.")
    batch_bytes: int = Field(
        MAX_BATCH_BYTES, ge=1_000_000, le=32 * 1024 * 1024, json_schema_extra={"unit": "bytes"},
        description="Bytes of the records of one append, and up to one decision more.",
    )  # fmt: skip
    batch_ms: int = Field(
        round(MAX_BATCH_S * 1_000),
        ge=1,
        le=5_000,
        json_schema_extra={"unit": "ms"},
        description="Time to decide for one append.",
    )
    append_deadline_s: float = Field(
        APPEND_DEADLINE_S, gt=0, lt=9, json_schema_extra={"unit": "s"},
        description="After it the outcome of an append is unknown: the partition is claimed again and restored.",
    )  # fmt: skip
    note_ms: int = Field(
        round(HINT_EVERY_S * 1_000), ge=1, le=60_000, json_schema_extra={"unit": "ms"},
        description="Reactors and calculators note their position so often; who waits until all is done wants it soon.",
    )  # fmt: skip
    max_set_aside: int = Field(
        MAX_SET_ASIDE, ge=1, le=1_000_000, description="Commands set aside in a row before a partition is paused."
    )

    compiled: Literal["auto", "no", "yes"] = Field(
        "auto",
        description="Run the hot modules as native code (`make compile`), with the same bytes. auto: where there is a"
        " build of exactly these sources; yes: do not start without one.",
    )

    health_host: str = Field(
        "127.0.0.1", min_length=1, description="Address at which /healthz, /readyz and /metrics are answered."
    )
    health_port: int | None = Field(
        0, ge=0, le=65_535,
        description="Its port. 0: any free one, named in the log; none: nothing is answered. `gridbook up` gives its"
        " processes this one and the following.",
    )  # fmt: skip
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="JSON lines, or text for people. auto: text on a terminal."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is written.")

    @field_validator("families", mode="before")
    @classmethod
    def _names(cls, given: Any) -> Any:
        return _listed(given) if isinstance(given, str) else given

    @field_validator("families")
    @classmethod
    def _known(cls, families: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_family(name) for name in families)

    @field_validator("family_partitions", mode="before")
    @classmethod
    def _generations(cls, given: Any) -> Any:
        return dict(_pair(text) for text in _listed(given)) if isinstance(given, str) else given

    @field_validator("family_tick_every", mode="before")
    @classmethod
    def _pairs(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        pairs = [(family, numbers, text) for text in _listed(given) for family, numbers in [_pair(text)]]
        for _, numbers, text in pairs:
            if len(numbers) > 1:
                raise ValueError(f"expected one number, found {text!r}")
        return {family: numbers[0] for family, numbers, _ in pairs}

    @field_validator("family_partitions", "family_tick_every")
    @classmethod
    def _numbers(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        most = MAX_PARTITIONS if info.field_name == "family_partitions" else _MOST_TICKS
        for family, numbers in given.items():
            for number in numbers if isinstance(numbers, tuple) else (numbers,):
                if not 1 <= number <= most:
                    raise ValueError(f"expected 1 to {most} for {_family(family)}, found {number}")
        return {_family(name): numbers for name, numbers in given.items()}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        sentences = list(_unknown(os.environ))
        if self.min_insync_replicas > self.replication_factor:
            sentences.append(
                f"{PREFIX}MIN_INSYNC_REPLICAS: expected at most the {self.replication_factor} of"
                f" {PREFIX}REPLICATION_FACTOR, found {self.min_insync_replicas}"
            )
        if sentences:
            raise ValueError("; ".join(sentences))
        return self

    def layout(self) -> Layout:
        """The partitions of all families."""
        return Layout(dict.fromkeys(FAMILIES, (self.partitions,)) | self.family_partitions)

    def tick_multiples(self) -> dict[str, int]:
        """Family → it gets every so many-th tick, of all families."""
        return dict.fromkeys(FAMILIES, self.tick_every) | self.family_tick_every

    def copies(self, local_broker: bool) -> tuple[int, int]:
        """Copies of a topic, and how many must stand; a broker alone keeps one."""
        return (1, 1) if local_broker else (self.replication_factor, self.min_insync_replicas)

    def snapshot_folder(self, data: Path | None = None) -> Path:
        """Where snapshots are; `data` is the data folder if it was named elsewhere."""
        return self.snapshots or (data or self.data) / "snapshots"


def read_settings() -> Settings:
    """The settings of this process's environment.

    Raises:
        InvalidSettings: see there; nothing may be started.
    """
    try:
        return Settings()
    except ValidationError as error:
        found = error.errors(include_url=False)
        unread = _unknown(os.environ) if all(one["loc"] for one in found) else ()
        raise InvalidSettings("; ".join([*unread, *map(_sentence, found)])) from None


def variable(name: str) -> str:
    """The variable of a setting."""
    alias = Settings.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else f"{PREFIX}{name.upper()}"


def table() -> str:
    """Every setting as a row of a table in Markdown: variable, default, what it may be, meaning."""
    rows = ["| variable | default | may be | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        cells = (f"`{variable(name)}`", _default(field), _bounds(field), field.description or "")
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows)


# ------------------------------------------------------------------------------------- what is not allowed


def _unknown(environ: Iterable[str]) -> Iterable[str]:
    known = [name for name in map(variable, Settings.model_fields) if name.startswith(PREFIX)]
    for name in sorted(environ):
        if name.upper().startswith(PREFIX) and name.upper() not in (*known, PARENT):
            yield f"{name} is no setting{_meant(name.upper(), known)}"


def _meant(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known], 1, 0.6)
    return f": did you mean {PREFIX}{near[0]}?" if near else ": remove it; `python -m gateways.settings` lists them all"


def _family(name: str) -> str:
    if name not in FAMILIES:
        raise ValueError(f"expected a family, found {name!r}{_meant_family(name)}")
    return name


def _meant_family(name: str) -> str:
    near = get_close_matches(name, FAMILIES, 1, 0.6)
    return f": did you mean {near[0]}?" if near else f": one of {', '.join(FAMILIES)}"


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _pair(text: str) -> tuple[str, tuple[int, ...]]:
    family, equals, numbers = text.partition("=")
    each = [number.strip() for number in numbers.split("+")]
    if not equals or not all(number.isascii() and number.isdecimal() for number in each):
        raise ValueError(f"expected family=number,family=number, found {text!r}")
    return family.strip(), tuple(map(int, each))


def _sentence(error: Mapping[str, Any]) -> str:
    said = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return said
    name = str(error["loc"][0])
    where = variable(name) if name in Settings.model_fields else name
    if error["type"] == "value_error":
        return f"{where}: {said}"
    found = "" if where == variable("database_url") else f", found {error['input']!r}"
    return f"{where}: {said.replace('Input should', 'it should')}{found}"


# ------------------------------------------------------------------------------------------- the table


def _default(field: FieldInfo) -> str:
    default = field.default
    if isinstance(default, dict | tuple):
        return f"`{','.join(f'{family}={number}' for family, number in dict(default).items())}`" if default else ""
    return f"`{str(default).lower() if default is None or isinstance(default, bool) else default}`"


def _bounds(field: FieldInfo) -> str:
    said = [f"{sign} {bound}" for sign, bound in _limits(field)]
    choices = getattr(field.annotation, "__args__", ()) if "Literal" in str(field.annotation) else ()
    said += [", ".join(f"`{choice}`" for choice in choices)] if choices else []
    extra = field.json_schema_extra
    unit = extra.get("unit", "") if isinstance(extra, dict) else ""
    return " ".join([*said, str(unit)]).strip()


def _limits(field: FieldInfo) -> Iterable[tuple[str, object]]:
    for rule in field.metadata:
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            if (bound := getattr(rule, name, None)) is not None:
                yield sign, bound


if __name__ == "__main__":
    print(table())
