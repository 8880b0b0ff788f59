"""What the server costs, measured beside bare floors and beside Faye: ``python -m tests.bench``."""
