"""The flows: the only place that knows Prefect. Each reads like a table of contents; the work is in `components`."""
