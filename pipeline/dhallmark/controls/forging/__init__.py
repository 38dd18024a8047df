"""Forging: signed bundles that no real client would make, each wrong in exactly the way that a control asks for.

A forger has a whole Sigstore instance of its own: certificate authority, CT log, transparency log, timestamp authority.
The trust root of a case holds it beside the user's, so that a mutant fails for its flaw and not for its authority; what
the forger makes without a flaw is accepted (controls S0 and T0). No key of the user's is used or asked for.
"""
