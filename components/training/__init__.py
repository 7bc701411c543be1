"""The only room that builds a Lightning Trainer."""
