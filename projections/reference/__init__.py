"""Slates of the family `reference`."""
