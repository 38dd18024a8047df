"""Proving manifests: a real API server takes them, and the consumer's own code says what they verify."""
