import pytest

from dhallmark.errors import ConfigError, Error, ExitCode, Location


@pytest.mark.parametrize(
    ("location", "text"),
    [
        (Location(file="a.yaml"), "a.yaml"),
        (Location(file="a.yaml", line=3), "a.yaml:3"),
        (Location(file="a.yaml", line=3, column=7, field="x.y"), "a.yaml:3:7 (x.y)"),
        (Location(file="a.yaml", field="x.y"), "a.yaml (x.y)"),
    ],
)
def test_a_location_reads_like_a_compilers(location: Location, text: str) -> None:
    assert str(location) == text


def test_an_error_says_where_what_and_what_to_do() -> None:
    error = ConfigError("unknown key 'pubish'", where=Location(file="d.yaml", line=2), hint="did you mean 'publish'?")
    assert str(error) == "d.yaml:2: unknown key 'pubish'\n  hint: did you mean 'publish'?"
    assert error.to_json() == {
        "error": "ConfigError",
        "exitCode": 4,
        "message": "unknown key 'pubish'",
        "where": {"file": "d.yaml", "line": 2},
        "hint": "did you mean 'publish'?",
    }


def every_error(base: type[Error]) -> list[type[Error]]:
    return [base, *(found for child in base.__subclasses__() for found in every_error(child))]


def test_only_the_base_class_counts_as_a_defect() -> None:
    internal = {kind for kind in every_error(Error) if kind.exit_code is ExitCode.INTERNAL}
    assert {kind.__name__ for kind in internal} <= {"Error", "InternalError", "VerdictError"}
