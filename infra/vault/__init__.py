"""The vault: the one place for personal data, and the one non-disposable store beside keys."""
