"""Where the checkout keeps the locked inputs of the tool chain."""

from pathlib import Path

CI = Path(__file__).resolve().parents[2]
TOOLS = CI / "tools"
PACKAGES = CI / "packages"
SDK_PYTHON = CI / "sdk-python"
