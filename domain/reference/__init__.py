"""Reference series: published prices and calendars, in versions."""
