"""Slates of the family `billing`."""
