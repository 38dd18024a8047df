"""What a cluster needs to check a release, in the language of each consumer, all from one model."""
