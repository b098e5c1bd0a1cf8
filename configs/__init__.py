"""One ml-collections config a file; `get_config(variant)` returns plain data."""
