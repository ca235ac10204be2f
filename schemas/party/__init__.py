"""Parties: who takes part, in which roles. Key: the party."""
