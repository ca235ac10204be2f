"""Slates of the family `community`."""
