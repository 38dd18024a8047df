"""The command line that Sigstore's conformance suite gives to every client: `verify-bundle` and `sign-bundle`."""
