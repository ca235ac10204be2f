"""The decisions: pure functions of state, wish and moment. No clock, no id generator, no I/O, no float."""
