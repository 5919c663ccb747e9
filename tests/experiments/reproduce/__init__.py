"""A package, so that fixtures which all its tests share end with its last test."""
