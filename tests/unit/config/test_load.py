"""What a user is told about a wrong `dhallmark.yaml` or policy."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dhallmark.config.load import load_config, load_policy, parse_config, parse_policy
from dhallmark.config.model import Config
from dhallmark.config.policy import Policy
from dhallmark.errors import ConfigError

CONFIG = """\
schemaVersion: 1
project: acme
version: 1.4.0
source:
  repository: https://git.example/acme/platform
layers: [platform, workloads]
environments:
  dev: { values: environments/dev.dhall }
  prod: {}
applications:
  web:
    entry: apps/web.dhall
    layer: workloads
    chart:
      appVersion: "2.0"
  ingress:
    entry: apps/ingress.dhall
    layer: platform
    environments: [prod]
publish:
  registry: registry.example:5000
  repository: acme/platform
  staging: acme/staging
policy: policy.yaml
"""
POLICY = """\
schemaVersion: 1
identities:
  release:
    issuer: https://issuer.example
    subject: https://git.example/acme/platform/.github/workflows/release.yml@refs/heads/main
    extensions:
      sourceRepositoryURI: https://git.example/acme/platform
statements:
  - predicateType: https://slsa.dev/provenance/v1
    identities: [release]
source:
  repository: https://git.example/acme/platform
builders: [https://dhallmark.dev/builder/v1]
"""


def config_errors(text: str) -> list[ConfigError]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text.encode(), file="dhallmark.yaml")
    return [caught.value, *caught.value.others]


def test_good_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    (tmp_path / "p.yaml").write_text(POLICY)
    config = load_config(tmp_path / "c.yaml")
    assert (config.version, config.applications["web"].chart.app_version) == ("1.4.0", "2.0")
    assert load_policy(tmp_path / "p.yaml").statements[0].identities == ("release",)


@pytest.mark.parametrize(
    ("old", "new", "where", "said", "hint"),
    [
        (
            "    entry: apps/web",
            "    entyr: apps/web",
            "12:5 (applications.web.entyr)",
            "unknown key",
            "did you mean 'entry'?",
        ),
        ("registry: reg", "registri: reg", "21:3 (publish.registri)", "unknown key", "did you mean 'registry'?"),
        ("policy: p", "zzz: 1\npolicy: p", "24:1 (zzz)", "unknown key", "known keys: schemaVersion, project"),
        (
            '      appVersion: "2.0"',
            "      app_version: x",
            "15:7 (applications.web.chart.app_version)",
            "unknown key",
            "did you mean 'appVersion'?",
        ),
        (
            'appVersion: "2.0"',
            "appVersion: 2.0",
            "15:7 (applications.web.chart.appVersion)",
            "valid string",
            "put the value in quotes",
        ),
        ("version: 1.4.0", "version: 1.4.0+build", "3:1 (version)", "'1.4.0+build' is not allowed", "semantic version"),
        ("version: 1.4.0", "version: v1.4.0", "3:1 (version)", "'v1.4.0' is not allowed", "semantic version"),
        ("project: acme", "project: Acme", "2:1 (project)", "'Acme' is not allowed", "lower-case"),
        ("  web:\n", "  Web:\n", "11:3 (applications.Web)", "'Web' is not allowed", "lower-case"),
        ("registry.example:5000", "https://registry.example", "21:3 (publish.registry)", "is not allowed", "no scheme"),
        ("acme/staging", "acme/platform/staging", "20:1 (publish)", "staging must stand outside", ""),
        ("layer: platform", "layer: platfrom", "18:5 (applications.ingress.layer)", "no layer 'platfrom'", ""),
        ("[prod]", "[stage]", "19:5 (applications.ingress.environments)", "no environment 'stage'", ""),
        ("apps/web.dhall", "../web.dhall", "12:5 (applications.web.entry)", "must be a relative path inside", ""),
        ("apps/web.dhall", "/web.dhall", "12:5 (applications.web.entry)", "must be a relative path inside", ""),
        ("schemaVersion: 1", "schemaVersion: 2", "1:1 (schemaVersion)", "1", ""),
        ("layers: [platform, workloads]", "layers: []", "6:1 (layers)", "at least 1", ""),
        ("policy: policy.yaml\n", "", "1:1", "'policy' is missing", "who may sign what"),
        ("  prod: {}", "  prod: 3", "9:3 (environments.prod)", "", ""),
    ],
)
def test_each_mistake_is_told_with_line_column_field_and_remedy(
    old: str, new: str, where: str, said: str, hint: str
) -> None:
    assert CONFIG.count(old) == 1
    (error,) = config_errors(CONFIG.replace(old, new))
    assert str(error.where) == f"dhallmark.yaml:{where}"
    assert said in error.message
    assert hint in (error.hint or "")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    errors = config_errors(
        CONFIG.replace("project: acme", "project: A")
        .replace("entry:", "enrty:")
        .replace("repository: acme/platform", "repository: /")
    )
    found = [error.where.field for error in errors if error.where]
    assert found == [
        "project",
        "applications.web.enrty",
        "applications.ingress.enrty",
        "publish.repository",
    ]


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        ("    issuer: https", "    issuerRegex: https", "4:5 (identities.release.issuerRegex)", "unknown key"),
        ("identities: [release]", "identities: [relaese]", "10:5 (statements[0].identities)", "no identity 'relaese'"),
        (
            "    subject: https",
            "    subjectRegExp: '['\n    subject: https",
            "5:5 (identities.release.subjectRegExp)",
            "not an RE2 expression",
        ),
        ("    issuer: https://issuer.example\n", "", "3:3 (identities.release)", "exactly one of issuer"),
        ("sourceRepositoryURI", "sourceRepoURI", "6:5 (identities.release.extensions)", "no Fulcio extension"),
    ],
)
def test_mistakes_in_a_policy(old: str, new: str, where: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_policy(POLICY.replace(old, new, 1).encode(), file="policy.yaml")
    assert f"policy.yaml:{where}" in [str(error.where) for error in (caught.value, *caught.value.others)]
    assert said in " ".join(error.message for error in (caught.value, *caught.value.others))


@pytest.mark.parametrize("content", [b"", b"[]", b"text", b"3", b"null"])
def test_what_is_no_mapping_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigError):
        parse_config(content, file="f")


def test_a_file_that_is_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dhallmark init"):
        load_config(tmp_path / "dhallmark.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy(Path("a\0b"))


def _mutations(text: str) -> st.SearchStrategy[bytes]:
    """The good file with a piece of it replaced by anything."""
    pieces = st.one_of(
        st.binary(max_size=12), st.sampled_from([b"null", b"[]", b"{}", b"1", b"true", b"'", b": ", b"\n"])
    )
    content = text.encode()
    spans = st.tuples(st.integers(0, len(content)), st.integers(0, 20))
    return st.builds(lambda span, piece: content[: span[0]] + piece + content[sum(span) :], spans, pieces)


def _is_value_or_has_place(parse: Callable[[], object], kind: type) -> bool:
    """Whether `parse` gives a value of its kind, or a ConfigError that says where. Any other exception escapes."""
    try:
        return isinstance(parse(), kind)
    except ConfigError as error:
        return error.where is not None


@given(st.one_of(st.binary(max_size=100), _mutations(CONFIG)))
def test_any_bytes_give_a_config_or_a_config_error(content: bytes) -> None:
    assert _is_value_or_has_place(lambda: parse_config(content, file="f"), Config)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["schemaVersion", "identities", "statements", "source", "builders", "x"]), _VALUES),
    _mutations(POLICY),
)
def test_any_document_gives_a_policy_or_a_config_error(document: dict[str, object], mutated: bytes) -> None:
    for content in (yaml.safe_dump(document).encode(), mutated):
        assert _is_value_or_has_place(partial(parse_policy, content, file="f"), Policy)
