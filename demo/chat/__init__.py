"""A chat with rooms, where everybody sees who is here."""
