"""The commands of `everfit`, by what they are for. What is heavy is imported inside of them: see `flows.cli`."""
