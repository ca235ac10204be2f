"""Settlement: runs over a delivery period, their lines, and what they post. Key: the settlement area (zone)."""
