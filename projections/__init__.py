"""The slates: what the log says, as rows. Everything here can be dropped and rebuilt from offset 0."""
