"""A layout of two steps and an inspection, statements that fulfil it, and identities that may sign them."""

from __future__ import annotations

import copy
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dhallmark.config.identities import IdentityRule
from dhallmark.digest import Digest
from dhallmark.identity import Identity
from dhallmark.statement import LINK_V0_3, SLSA_PROVENANCE_V1, Statement, Subject
from dhallmark.verdict import Verdict
from dhallmark.verify.identities import IdentityMatcher
from dhallmark.verify.layouts.evidence import Evidence
from dhallmark.verify.layouts.inspections import Product
from dhallmark.verify.layouts.judge import judge_layout
from dhallmark.verify.layouts.layer import read_layer
from dhallmark.verify.layouts.model import Layout

Json = dict[str, Any]
Files = Mapping[str, Digest]

ISSUER = "https://issuer.test"
BUILDER, REVIEWER, STRANGER = (
    Identity(issuer=ISSUER, subject=f"https://ci.test/{name}") for name in ("builder", "reviewer", "stranger")
)
BUILD_TYPE = "https://ci.test/build/v1"
NAME = "registry.test/acme/prod/web"


def layer_of(files: Mapping[str, str]) -> bytes:
    """A `.tar.gz` of `files`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(buffer.getvalue(), mtime=0)


def public_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def link(name: str, materials: Files, products: Files) -> Statement:
    return Statement.build(
        predicate_type=LINK_V0_3,
        subjects=[Subject(path, digest) for path, digest in products.items()],
        predicate={
            "name": name,
            "command": ["make", name],
            "materials": [{"name": path, "digest": {"sha256": digest.hex}} for path, digest in materials.items()],
            "byproducts": {},
            "environment": {},
        },
    )


def provenance(materials: Sequence[Json], products: Files, *, build_type: str = BUILD_TYPE) -> Statement:
    return Statement.build(
        predicate_type=SLSA_PROVENANCE_V1,
        subjects=[Subject(path, digest) for path, digest in products.items()],
        predicate={
            "buildDefinition": {"buildType": build_type, "resolvedDependencies": list(materials)},
            "runDetails": {"builder": {"id": "https://ci.test/builder"}},
        },
    )


def signed(item: Statement, by: Identity = BUILDER, *, source: str = "bundle") -> Evidence:
    return Evidence(source=source, statement=item, signatory=by)


SOURCE, MANIFEST = Digest.of(b"source"), Digest.of(b"manifest")
FILES = {"Chart.yaml": "name: web\n", "templates/a.yaml": "kind: ConfigMap\n"}


@dataclass(frozen=True, kw_only=True)
class World:
    """A release that a layout accepts; tests change one thing of it."""

    link = staticmethod(link)
    provenance = staticmethod(provenance)
    signed = staticmethod(signed)
    layer_of = staticmethod(layer_of)
    builder, reviewer, stranger = BUILDER, REVIEWER, STRANGER
    build_type, name, source, manifest = BUILD_TYPE, NAME, SOURCE, MANIFEST

    layout: Json
    files: Mapping[str, str]
    identities: IdentityMatcher = field(
        default_factory=lambda: IdentityMatcher(
            {
                name: IdentityRule.model_validate({"issuer": ISSUER, "subject": f"https://ci.test/{name}"})
                for name in ("builder", "reviewer")
            }
            | {"anyone": IdentityRule.model_validate({"issuer": ISSUER, "subjectRegExp": "https://ci.test/.*"})}
        )
    )

    @property
    def payload(self) -> bytes:
        """The layout as it is signed."""
        return json.dumps(self.layout).encode()

    @property
    def layer(self) -> bytes:
        return layer_of({f"web/{name}": text for name, text in self.files.items()})

    @property
    def product(self) -> Product:
        return Product(name=NAME, digest=MANIFEST, archive=Digest.of(self.layer), layer=read_layer(self.layer))

    @property
    def rendered(self) -> Files:
        return {f"out/prod/web/{name}": Digest.of(text.encode()) for name, text in self.files.items()}

    @property
    def packed(self) -> Files:
        return {"web-1.2.3.tgz": Digest.of(self.layer), "web.manifest": MANIFEST}

    def evidence(self, **changed: Statement | None) -> list[Evidence]:
        """The statements of the release by their step, each by the builder; None leaves one out."""
        statements: dict[str, Statement | None] = {
            "render": link("render", {"web.dhall": SOURCE}, self.rendered),
            "package": link("package", self.rendered, self.packed),
            **changed,
        }
        return [signed(item, source=name) for name, item in statements.items() if item is not None]

    def judge(
        self,
        evidence: Sequence[Evidence] | None = None,
        *,
        change: Callable[[Json], object] = lambda _: None,
        product: Product | None = None,
    ) -> Verdict:
        """The verdict of the layout, after `change`."""
        body = copy.deepcopy(self.layout)
        change(body)
        layout = Layout.parse(json.dumps(body).encode())
        found = self.evidence() if evidence is None else evidence
        return judge_layout(layout, found, product or self.product, self.identities)


def layout_body() -> Json:
    return {
        "_type": "layout",
        "version": 3,
        "expires": "2099-01-01T00:00:00Z",
        "readme": "",
        "keys": {},
        "steps": [
            {
                "_type": "step",
                "name": "render",
                "identities": ["builder"],
                "pubkeys": [],
                "threshold": 1,
                "expected_command": ["make", "render"],
                "expected_materials": [["REQUIRE", "web.dhall"], ["ALLOW", "*.dhall"], ["DISALLOW", "*"]],
                "expected_products": [
                    ["MATCH", "*", "WITH", "MATERIALS", "FROM", "package"],
                    ["DISALLOW", "*"],
                ],
            },
            {
                "_type": "step",
                "name": "package",
                "identities": ["builder"],
                "pubkeys": [],
                "threshold": 1,
                "expected_command": [],
                "expected_materials": [
                    ["MATCH", "out/*", "WITH", "PRODUCTS", "FROM", "render"],
                    ["DISALLOW", "*"],
                ],
                "expected_products": [["CREATE", "web*"], ["DISALLOW", "*"]],
            },
        ],
        "inspect": [
            {
                "_type": "inspection",
                "name": "layer",
                "run": ["dhallmark", "inspect", "layer"],
                "expected_materials": [["ALLOW", "oci/*"], ["DISALLOW", "*"]],
                "expected_products": [
                    ["MATCH", "*", "IN", "chart", "WITH", "PRODUCTS", "IN", "out", "FROM", "render"],
                    ["ALLOW", "dir:chart/prod/web"],
                    ["DISALLOW", "*"],
                ],
            }
        ],
    }


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    """A world of a test's own."""
    return make_world()


@pytest.fixture(scope="session")
def make_layout() -> Callable[[], Json]:
    """Makes the layout anew each time."""
    return layout_body


@pytest.fixture(scope="session")
def make_world() -> Callable[[], World]:
    """Makes a world anew each time."""
    return lambda: World(layout=layout_body(), files=FILES)
