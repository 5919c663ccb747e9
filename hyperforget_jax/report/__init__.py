"""Report: rows and arrays in; tables, figures and one HTML page out. No file is read, nothing is computed anew."""
