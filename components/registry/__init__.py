"""The only room that knows MLflow: runs, model versions, aliases, history."""
