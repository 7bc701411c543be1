"""The only room that knows BentoML: predictor, service, following the alias."""
