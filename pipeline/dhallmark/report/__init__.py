"""What is shown at the end of a run: tables for people and JSON for machines, from one model."""
