"""`everfit demo`: a year of real flights through the whole loop, with the real servers."""
