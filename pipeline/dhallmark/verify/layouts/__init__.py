"""in-toto layouts: which steps an artifact must have gone through, by whom, and which file is which."""
