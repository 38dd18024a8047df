"""What a Git repository that Flux or Argo CD follows gets of a release."""
