"""Settings of the command line, from the environment; every one has a default."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where a deployment is: `GRIDBOOK_DATA` (or the option `--data`) and `GRIDBOOK_PARTITIONS`.

    `DATABASE_URL` and `KAFKA_BOOTSTRAP` are read where the servers are looked for.
    """

    model_config = SettingsConfigDict(env_prefix="GRIDBOOK_", extra="ignore")

    data: Path = Field(Path(".gridbook/demo"), description="Data folder of the local servers and the vault's key.")
    partitions: int = Field(1, ge=1, le=1024, description="Partitions a family; part of the record.")
