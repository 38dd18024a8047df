"""`dhallmark.yaml` and the policy file: typed, strict, and with errors that name file, line and field."""
