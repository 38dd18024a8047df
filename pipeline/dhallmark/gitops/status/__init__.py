"""Whether the verification that Git says is in force in a cluster."""
