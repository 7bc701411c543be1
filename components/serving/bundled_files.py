"""Where things stand in a bento of ours, for whoever lays it out and for the service inside it."""

PROJECT, CACHE, VERSION = "project.yaml", "cache", "VERSION"
