"""The flow: read, decide, record, react, project, calculate. Knows the log's rules and no technology."""
