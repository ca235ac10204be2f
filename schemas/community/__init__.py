"""Energy communities: rules of sharing and members. Key: the community."""
