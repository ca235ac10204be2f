"""A real Kafka broker for the demo and the tests, wherever one is to be had."""

from infra.kafka.broker.find import Broker, find_broker
from infra.kafka.broker.server import LocalBroker, LocalBrokerError

__all__ = ["Broker", "LocalBroker", "LocalBrokerError", "find_broker"]
