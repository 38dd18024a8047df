"""Installs and runs what dhallmark is tested with: Go tools, Debian images, a registry and Dagger engines.

Only the standard library, since it runs before anything else is installed.
"""
