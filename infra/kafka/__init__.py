"""The pipes on Kafka: the two logs of `consumers.ports`, by aiokafka."""
