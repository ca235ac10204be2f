"""A log as a folder of files: Avro containers, the schemas, sealed personal data, and a manifest written last."""
