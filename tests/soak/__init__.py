"""The leak soak: clients that come, do something, and vanish in every way; nothing of them may be left."""
