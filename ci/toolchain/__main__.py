"""Entry point of `python3 ci/toolchain`; the package beside this file does the work."""

import sys

from toolchain.cli import main

sys.exit(main())
