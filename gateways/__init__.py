"""The doors: where wishes come in and answers go out. Only `app` names concrete adapters."""
