"""Communities: who organises them, their rules of sharing in versions, and who was admitted."""
