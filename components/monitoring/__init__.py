"""The only room that knows Evidently: drift, quality, decisions."""
