"""What a statement lists as its subjects, whatever they are: not too many, and each of them comparable."""

from __future__ import annotations

from dhallmark.reasons import Reason
from dhallmark.statement import Statement
from dhallmark.verify.refusal import Refusal


def require_count(statement: Statement, most: int) -> None:
    """Refuse a statement about more than `most` subjects (P8)."""
    if statement.count > most:
        raise Refusal(
            Reason.SUBJECT_TOO_MANY,
            "the statement has too many subjects",
            expected=str(most),
            found=str(statement.count),
        )


def require_comparable(statement: Statement) -> None:
    """Refuse a statement whose subjects are a step's products, where one of them cannot be compared (P4)."""
    if statement.foreign:
        raise Refusal(Reason.SUBJECT_ALGORITHM, f"a product cannot be compared: {statement.foreign[0]}")
