"""The project file and the environment, typed: every mistake at once, with its line and the nearest right name."""
