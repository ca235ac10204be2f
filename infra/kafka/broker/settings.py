"""How our brokers are set up, wherever they run. Every line is here because its default does harm."""

import base64
import uuid
from collections.abc import Mapping

ONE_BROKER: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    # There is no second broker to copy to: with the defaults every transactional producer waits for ever.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Fifty partitions each would be fifty files to open at every start.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    # Tests need not wait six seconds for a dead member of a group to be missed.
    "group.min.session.timeout.ms": "1000",
    # After a kill the broker is let in again when its old session has expired: with the default of 9 s a
    # restart takes 13 s instead of 7. Much shorter, and a machine under load loses its only broker.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "500",
    # A misspelt topic is an error, and no topic ever has the broker's default retention of seven days.
    "auto.create.topics.enable": "false",
    "log.retention.ms": "-1",
    "log.message.timestamp.type": "LogAppendTime",
}


def local_settings(port: int, controller_port: int, data: str, changes: Mapping[str, str]) -> dict[str, str]:
    """The settings of a broker on the loopback interface; `changes` win."""
    return {
        **ONE_BROKER,
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "log.dirs": data,
        **changes,
    }


def new_cluster_id() -> str:
    """An id as Kafka draws them: 16 bytes in the alphabet of URLs."""
    identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return "A" + identity[1:] if identity.startswith("-") else identity  # would be read as an option


def properties(settings: Mapping[str, str]) -> str:
    """A Java properties file."""
    return "".join(f"{name}={value.replace(chr(92), chr(92) * 2)}\n" for name, value in settings.items())
