"""A slideshow that one person turns for everybody."""
