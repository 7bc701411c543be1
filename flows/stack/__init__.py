"""The local servers behind `everfit up`: which there are, how they are started, watched, restarted and stopped."""
