"""The one error that users of the tool chain see."""


class ToolchainError(Exception):
    """Something that the user can act on; the message says what failed and what to do."""
