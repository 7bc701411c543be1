"""Tables: sources, schema, leaks, splits, dataset versions, the prediction ledger and the decisions."""
