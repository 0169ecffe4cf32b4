"""Being here puts this folder on the path, so that tests of any package can import its shared helpers."""
