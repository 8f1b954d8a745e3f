"""One module for each format of a stack: what it states and its pixels, read without trusting the file."""
