"""Meters: readings of a metering point, packed by day, in versions."""
