"""A ticker of prices that the server publishes."""
