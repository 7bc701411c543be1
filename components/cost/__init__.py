"""What a model costs: money for seconds of a machine, memory of a process."""
