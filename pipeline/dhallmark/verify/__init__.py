"""Verdicts on bundles, artifacts, unsigned results and deploy trees. Offline but for the registry that is asked."""
