"""Meters: readings of a metering point, immutable, in versions. Key: the metering point."""
