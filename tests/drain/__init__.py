"""What becomes of very many clients when their server is replaced; run it by ``python -m tests.drain``."""
