"""Finding what is wrong with the verification that a GitOps repository configures, before the cluster shows it."""
