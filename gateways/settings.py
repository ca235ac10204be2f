"""Settings of the command line, from the environment (`GRIDBOOK_…`) or options; every one has a default."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where a deployment is. `DATABASE_URL` and `KAFKA_BOOTSTRAP` are read without prefix, as everywhere."""

    model_config = SettingsConfigDict(env_prefix="GRIDBOOK_", extra="ignore")

    data: Path = Field(Path(".gridbook/demo"), description="Data folder of the local servers and the vault's key.")
    deployment: str = Field("", description="Deployment name; empty: the one of the data folder.")
    partitions: int = Field(1, ge=1, le=1024, description="Partitions a family; part of the record.")
