"""Fuzzing: bytes from anywhere, and what must hold whatever they are.

A target is a class with one method that is given bytes; ``python -m tests.fuzz TARGET --runs N`` gives it
many, guided by coverage where atheris is installed.  ``tests/test_fuzz.py`` is the short form.
"""
