"""The example as its team goes on with it: three commits, each of which changes something else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_NEWSLETTER = """\
{-| Letters that customers asked for. Templated as the mailer is: whoever installs it may set the sender.
-}
let Environment = ../environments/Environment.dhall

let names = ../lib/names.dhall

let network = ../lib/network.dhall

let workload = ../lib/workload.dhall

let namespace = names.namespaces.shop

in  \\(env : Environment.Type) ->
      workload.objects
        env
        workload.Workload::{
        , name = "newsletter"
        , namespace
        , component = "worker"
        , image =
          { repository = "shop/newsletter"
          , tag = "0.1.0"
          , digest =
              "4b1d9b71dc1ee676895f2736005a0e6697d2cde0cf4f012c09cfdc7cb36685d1"
          }
        , settings = toMap { SENDER = "{{ .Values.sender }}" }
        , replicas = env.replicas
        , callers = [ network.namespaced namespace "storefront" ]
        , calls = [ network.internet [ 465, 587 ] ]
        }
"""
_NEWSLETTER_CONFIG = """\
  newsletter:
    entry: apps/newsletter.dhall
    layer: workloads
    chart:
      description: Letters that customers asked for
      values: charts/newsletter/values.yaml
      templated: true
"""


def commit(folder: Path, message: str, *, at: str = "2026-01-02T03:04:05Z") -> None:
    """Commit all of `folder`, as the same person at the same time every time."""
    who = {"NAME": "A Person", "EMAIL": "a@example.test", "DATE": at}
    env = os.environ | {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    start = [] if (folder / ".git").exists() else [["init", "--quiet", "--initial-branch=main"]]
    for words in (*start, ["add", "--all"], ["commit", "--quiet", "-m", message]):
        subprocess.run(["git", *words], cwd=folder, env=env, check=True)


def edit(file: Path, *changes: tuple[str, str]) -> None:
    """Replace each text, which must stand there once."""
    text = file.read_text()
    for old, new in changes:
        assert text.count(old) == 1, (file, old)
        text = text.replace(old, new)
    file.write_text(text)


def _more_for_production(folder: Path) -> None:
    """Values of one environment; what a templated chart's template and values say."""
    edit(folder / "environments" / "prod.dhall", ("replicas = 3", "replicas = 4"), ('"30d"', '"60d"'))
    sender = 'SENDER = "{{ .Values.sender.address }}"'
    edit(
        folder / "apps" / "mailer.dhall",
        (sender, f'REPLY_TO = "{{{{ .Values.sender.address }}}}"\n                , {sender}'),
    )
    edit(folder / "charts" / "mailer" / "values.yaml", ("30 6 * * *", "0 5 * * *"))


def _a_newsletter(folder: Path) -> None:
    """An application more, and its templated chart."""
    (folder / "apps" / "newsletter.dhall").write_text(_NEWSLETTER)
    (folder / "charts" / "newsletter").mkdir()
    (folder / "charts" / "newsletter" / "values.yaml").write_text("sender: news@acme.example\n")
    edit(folder / "dhallmark.yaml", ("\npublish:\n", f"{_NEWSLETTER_CONFIG}\npublish:\n"))


@dataclass(frozen=True, kw_only=True)
class Change:
    """What the next commit changes, beside the version."""

    version: str
    charts: int
    """How many a release of it has: each application and the umbrella, in each of three environments."""
    at: str
    """When it is committed."""
    edit: Callable[[Path], None]

    def make(self, folder: Path, *, before: str) -> None:
        """Change the project and commit it. `before` is the version in it."""
        self.edit(folder)
        edit(folder / "dhallmark.yaml", (f"version: {before}\n", f"version: {self.version}\n"))
        commit(folder, f"release {self.version}", at=self.at)


# Not those of the release that other tests look at: it may be in the same registry.
FIRST_VERSION, FIRST_CHARTS = "2.0.0", 45
LATER = (
    Change(version="2.0.1", charts=45, at="2026-02-03T04:05:06Z", edit=_more_for_production),
    Change(version="2.1.0", charts=48, at="2026-03-04T05:06:07Z", edit=_a_newsletter),
)
