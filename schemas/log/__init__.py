"""The runtime's own records: the clock's wish and what an owner notes besides facts. They never reach `evolve`."""
