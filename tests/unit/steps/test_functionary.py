"""Signed links and their layout, judged by the real `in-toto-verify`."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dhallmark.digest import Digest
from dhallmark.errors import FormatError
from dhallmark.steps.artifacts import hash_names, open_view
from dhallmark.steps.functionary import FUNCTIONARY_KEY, LAYOUT, LAYOUT_KEY, SIGNED, VALIDITY, Functionary, sign_links
from dhallmark.steps.link import STEPS, Link

_FILES = {
    "resolve/closure.json": "{}",
    "resolve/normal/dev/web.dhallb": "web",
    "resolve/cache/1220ab": "cached",
    "render/dev/web/Chart.yaml": "name: web",
    "render/dev/web/templates/001.yaml": "kind: Service",
    "package/artifacts.json": "[]",
    "package/dev/web-1.0.0.tgz": "archive",
    "package/oci/index.json": "{}",
    "publish/staged.json": "{}",
}
_MADE = {
    "resolve": ["build/resolve/closure.json", "build/resolve/normal/dev/web.dhallb", "build/resolve/cache/1220ab"],
    "render": ["dir:build/render/dev/web"],
    "package": ["build/package/artifacts.json", "build/package/dev/web-1.0.0.tgz", "dir:build/package/oci"],
    "publish": ["build/publish/staged.json"],
}
_READ = {
    "resolve": [],
    "render": _MADE["resolve"][:2],
    "package": [*_MADE["render"], _MADE["resolve"][0], _MADE["resolve"][2]],
    "publish": _MADE["package"],
}
_SOURCES = {"dhallmark.yaml": "schemaVersion: 1", "apps/web.dhall": "1"}
_CHART = "dir:build/render/dev/web"


def sha(text: str) -> dict[str, str]:
    return {"sha256": Digest.of(text.encode()).hex}


def make_links(build: Path) -> dict[str, Link]:
    """The links of the four steps, as their files stand."""
    sources = {name: sha(content) for name, content in _SOURCES.items()}
    with open_view(build.parent, build) as view:
        return {
            step: Link(
                name=step,
                command=("dhallmark", step),
                materials=sources | hash_names(view, _READ[step]),
                products=hash_names(view, _MADE[step]),
                byproducts={"return-value": 0, "stdout": "", "stderr": ""},
            )
            for step in STEPS
        }


@pytest.fixture
def build(tmp_path: Path) -> Path:
    folder = tmp_path / "build"
    for name, content in _FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    write_links(folder, make_links(folder))
    return folder


def write_links(build: Path, made: dict[str, Link]) -> None:
    (build / "links").mkdir(exist_ok=True)
    for step, link in made.items():
        (build / "links" / f"{step}.link").write_bytes(link.to_bytes())


def in_toto_verify(build: Path, *, links: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The real program, on what it is given, in an empty folder."""
    empty = build.parent / "empty"
    empty.mkdir(exist_ok=True)
    return subprocess.run(
        [
            Path(sys.executable).parent / "in-toto-verify",
            *("--layout", build / LAYOUT, "--verification-keys", build / LAYOUT_KEY),
            *("--link-dir", links or build / SIGNED),
        ],
        cwd=empty,
        capture_output=True,
        text=True,
        check=False,
    )


def test_in_toto_verify_accepts_the_chain(build: Path) -> None:
    signed = sign_links(build)
    assert [link.name for link in signed] == list(STEPS)
    done = in_toto_verify(build)
    assert done.returncode == 0, done.stderr


def test_each_signed_payload_is_the_very_bytes_of_the_link(build: Path) -> None:
    sign_links(build)
    for step in STEPS:
        (file,) = (build / SIGNED).glob(f"{step}.????????.link")
        payload = base64.b64decode(json.loads(file.read_text())["payload"])
        assert payload == (build / "links" / f"{step}.link").read_bytes()


def test_the_keys_differ_from_each_other_and_from_release_to_release(build: Path) -> None:
    keys = set()
    for _ in range(2):
        sign_links(build)
        keys |= {(build / name).read_bytes() for name in (LAYOUT_KEY, FUNCTIONARY_KEY)}
    assert len(keys) == 4


def test_no_private_key_is_written(build: Path) -> None:
    sign_links(build)
    for file in build.rglob("*"):
        assert not file.is_file() or b"PRIVATE" not in file.read_bytes()


def test_the_layout_expires(build: Path) -> None:
    sign_links(build, now=datetime.now(UTC) - VALIDITY + timedelta(hours=1))
    assert in_toto_verify(build).returncode == 0
    with pytest.raises(FormatError, match="chain"):
        sign_links(build, now=datetime.now(UTC) - VALIDITY - timedelta(hours=1))


def _changed(link: Link, *, materials: dict[str, str] | None = None, products: dict[str, str] | None = None) -> Link:
    """`link` with other contents under some names."""

    def apply(hashes: object, changes: dict[str, str] | None) -> dict[str, dict[str, str]]:
        return dict(hashes) | {name: sha(text) for name, text in (changes or {}).items()}  # type: ignore[call-overload, no-any-return]

    return Link(
        name=link.name,
        command=link.command,
        materials=apply(link.materials, materials),
        products=apply(link.products, products),
        byproducts=link.byproducts,
    )


def _without(link: Link, name: str) -> Link:
    return Link(
        name=link.name,
        command=link.command,
        materials={key: value for key, value in link.materials.items() if key != name},
        products={key: value for key, value in link.products.items() if key != name},
        byproducts=link.byproducts,
    )


_TAMPERED: dict[str, tuple[str, Callable[[Link], Link]]] = {
    "a normal form changed before render": (
        "render",
        lambda link: _changed(link, materials={"build/resolve/normal/dev/web.dhallb": "other"}),
    ),
    "a file of a chart changed before package": ("package", lambda link: _changed(link, materials={_CHART: "other"})),
    "a chart added before package": (
        "package",
        lambda link: _changed(link, materials={"dir:build/render/dev/evil": "kind: Secret"}),
    ),
    "a file added beside the charts before package": (
        "package",
        lambda link: _changed(link, materials={"build/render/dev/evil.yaml": "kind: Secret"}),
    ),
    "a chart dropped before package": ("package", lambda link: _without(link, _CHART)),
    "a chart moved to another environment": (
        "package",
        lambda link: _changed(_without(link, _CHART), materials={"dir:build/render/prod/web": "name: web"}),
    ),
    "an archive changed before publish": (
        "publish",
        lambda link: _changed(link, materials={"build/package/dev/web-1.0.0.tgz": "other"}),
    ),
    "an archive dropped before publish": (
        "publish",
        lambda link: _without(link, "build/package/dev/web-1.0.0.tgz"),
    ),
    "a blob changed before publish": (
        "publish",
        lambda link: _changed(link, materials={"dir:build/package/oci": "other"}),
    ),
    "a source that resolve did not read": ("render", lambda link: _changed(link, materials={"extra.yaml": "x"})),
    "another source than resolve's": ("package", lambda link: _changed(link, materials={"apps/web.dhall": "2"})),
    "a file from elsewhere in the build directory": (
        "publish",
        lambda link: _changed(link, materials={"build/other/x": "x"}),
    ),
    "a product outside the step's folder": (
        "publish",
        lambda link: _changed(link, products={"build/package/x": "x"}),
    ),
    "a step that read the build directory before anything was made": (
        "resolve",
        lambda link: _changed(link, materials={"build/resolve/closure.json": "{}"}),
    ),
    "no record of artifacts": ("package", lambda link: _without(link, "build/package/artifacts.json")),
    "no closure": ("resolve", lambda link: _without(link, "build/resolve/closure.json")),
}


@pytest.mark.parametrize("case", _TAMPERED)
def test_in_toto_verify_refuses_what_changed_between_two_steps(build: Path, case: str) -> None:
    """The forger even holds the functionary's key: the rules of the layout alone must refuse it."""
    step, tamper = _TAMPERED[case]
    sign_links(build)
    forged = build.parent / "forged"
    shutil.copytree(build / SIGNED, forged)
    functionary, owner = Functionary(), Functionary()
    layout = json.loads(base64.b64decode(json.loads((build / LAYOUT).read_text())["payload"]))
    layout["keys"] = {functionary.keyid: functionary.public}
    for item in layout["steps"]:
        item["pubkeys"] = [functionary.keyid]
    (build / LAYOUT).write_bytes(owner.sign(json.dumps(layout).encode()))
    (build / LAYOUT_KEY).write_bytes(owner.public_pem)
    made = make_links(build)
    for link in made.values():
        (forged / f"{link.name}.{functionary.keyid[:8]}.link").write_bytes(functionary.sign(link.to_bytes()))
    done = in_toto_verify(build, links=forged)
    assert done.returncode == 0, f"the twin must be accepted: {done.stderr}"
    (forged / f"{step}.{functionary.keyid[:8]}.link").write_bytes(functionary.sign(tamper(made[step]).to_bytes()))
    done = in_toto_verify(build, links=forged)
    assert done.returncode == 1
    assert "RuleVerificationError" in done.stderr


@pytest.mark.parametrize("case", _TAMPERED)
def test_a_broken_chain_is_not_signed(build: Path, case: str) -> None:
    step, tamper = _TAMPERED[case]
    made = make_links(build)
    made[step] = tamper(made[step])
    write_links(build, made)
    with pytest.raises(FormatError):
        sign_links(build)
    assert not (build / SIGNED).exists()


def _other_signature(folder: Path) -> None:
    file = next(folder.glob("render.*.link"))
    body = json.loads(file.read_text())
    body["signatures"][0]["sig"] = json.loads(next(folder.glob("package.*.link")).read_text())["signatures"][0]["sig"]
    file.write_text(json.dumps(body))


def _other_payload(folder: Path) -> None:
    file = next(folder.glob("render.*.link"))
    body = json.loads(file.read_text())
    payload = base64.b64decode(body["payload"])
    body["payload"] = base64.b64encode(payload.replace(b"web", b"wow")).decode()
    file.write_text(json.dumps(body))


def _other_key(folder: Path) -> None:
    stranger = Functionary()
    file = next(folder.glob("render.*.link"))
    file.write_bytes(stranger.sign(base64.b64decode(json.loads(file.read_text())["payload"])))


def _missing(folder: Path) -> None:
    next(folder.glob("render.*.link")).unlink()


def _renamed(folder: Path) -> None:
    shutil.copy(next(folder.glob("package.*.link")), next(folder.glob("render.*.link")))


@pytest.mark.parametrize("tamper", [_other_signature, _other_payload, _other_key, _missing, _renamed])
def test_in_toto_verify_refuses_a_link_that_the_functionary_did_not_sign(
    build: Path, tamper: Callable[[Path], None]
) -> None:
    sign_links(build)
    tamper(build / SIGNED)
    assert in_toto_verify(build).returncode == 1


def test_in_toto_verify_refuses_another_layout_key(build: Path) -> None:
    sign_links(build)
    (build / LAYOUT_KEY).write_bytes(Functionary().public_pem)
    assert in_toto_verify(build).returncode == 1


def _edit_file(build: Path) -> None:
    (build / "package" / "artifacts.json").write_text("[1]")


def _add_file(build: Path) -> None:
    (build / "package" / "dev" / "extra.tgz").write_text("x")


def _edit_chart(build: Path) -> None:
    (build / "render" / "dev" / "web" / "Chart.yaml").write_text("name: evil")


def _add_beside_charts(build: Path) -> None:
    (build / "render" / "dev" / "evil.yaml").write_text("x")


def _remove_file(build: Path) -> None:
    (build / "resolve" / "closure.json").unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_edit_file, "changed"),
        (_add_file, "no part"),
        (_edit_chart, "changed"),
        (_add_beside_charts, "no part"),
        (_remove_file, "no such file"),
    ],
)
def test_files_that_are_no_longer_the_recorded_ones_are_not_signed(
    build: Path, change: Callable[[Path], None], message: str
) -> None:
    change(build)
    with pytest.raises(FormatError, match=message):
        sign_links(build)
    assert not (build / SIGNED).exists()


def test_a_refused_chain_leaves_the_older_signatures(build: Path) -> None:
    sign_links(build)
    before = {file.name: file.read_bytes() for file in (build / SIGNED).iterdir()}
    _edit_file(build)
    with pytest.raises(FormatError):
        sign_links(build)
    assert {file.name: file.read_bytes() for file in (build / SIGNED).iterdir()} == before
