"""Policies: a fact in one family is a wish in another. Only this folder imports two families."""
