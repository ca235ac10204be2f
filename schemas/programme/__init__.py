"""Demand-response programmes: terms, events, set-points, measured performance. Key: the programme."""
