"""`python -m dhallmark`: the command, from a checkout."""

from dhallmark.cli.app import main

if __name__ == "__main__":
    main()
