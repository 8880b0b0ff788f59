"""The server's doors: what parses HTTP and hands it to a transport."""
