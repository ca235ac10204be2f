"""Slates of the family `party`."""
