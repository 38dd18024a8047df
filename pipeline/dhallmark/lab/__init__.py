"""A whole Sigstore on one machine: OIDC issuers, CT log, Fulcio, Rekor v2, timestamp authority, and registries.

The lab is for the sandbox and for tests. Real servers do the work; only what the public instance runs outside of
Sigstore (GitHub's and GitLab's token issuers, a CT log) is served by dhallmark itself.

=================  ==================================================================================================
`model`            what a lab consists of (`lab.json`) and where its files lie
`pki`, `trust`     keys and certificates; `trusted_root.json`, signing config, client trust config
`tokens`           claims shaped like GitHub's and GitLab's, and their signature
`create`           makes a lab's directory
`ctlog`            the signed certificate timestamp of a precertificate
`servers`          the servers that run inside the supervisor: issuers, CT log, proxy, packages
`programs`         the servers that are programs: how each is started and how it says that it is ready
`supervisor`       starts, watches and stops all of it; runs inside the lab's network namespace
`state`            what the supervisor says of the running lab (`state.json`)
`namespace`        Linux namespaces: make one, enter one
`session`          what callers use: `open_lab`, `running_lab`, `Lab`
=================  ==================================================================================================
"""
