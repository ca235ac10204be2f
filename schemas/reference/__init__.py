"""Reference series: prices and calendars of named publishers, in versions. Key: the series."""
