"""The CI image: a root file system put together from locked packages, without running any of their scripts.

::

    lock.json ──lock──► versions and SHA-256 of Debian packages, helm, the Python version
    fetch  (network)    *.deb and *.whl, each checked against its hash
    build  (no network) layers ─► OCI archive ─► one digest

Nothing of the machine that builds gets in: content, order, owners, modes and times come from the packages, and layers
are stored uncompressed, so that no version of zlib has a say in the digest either.
"""
