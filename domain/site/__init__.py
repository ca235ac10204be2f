"""Sites: connection, resources, memberships over valid time, and the account of what may be used by whom."""
