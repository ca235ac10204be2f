"""Sites: grid connection points with their metering points, resources and capability. Key: the connection."""
