"""Built-in inspections: what the artifact itself is, as the record of a step.

in-toto runs whatever command a layout names. Here `run` only chooses among what is known, so that nobody's layout
executes anything on a verifier's machine.

`["dhallmark", "inspect", "layer"]` looks at the artifact's one layer, which must be a `.tar.gz`. Its materials are
`oci/manifest` and `oci/layer`, with their digests. Its products are what the layer unpacks to:

- of a Helm chart each file as `chart/<environment>/<chart>/<file>`, and the folder, by in-toto's digest of folders, as
  `dir:chart/<environment>/<chart>`;
- of any other layer `tree/<environment>/<file>` and `dir:tree/<environment>`.

`<environment>` is the last part but one of the artifact's name, as dhallmark publishes: a chart of `dev` cannot be
matched with what was rendered for `prod`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dhallmark.digest import Digest
from dhallmark.reasons import Reason
from dhallmark.verify.layouts.evidence import StepRecord
from dhallmark.verify.layouts.layer import Layer
from dhallmark.verify.layouts.model import Inspection, Layout
from dhallmark.verify.refusal import Refusal

LAYER = ("dhallmark", "inspect", "layer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """The artifact that a layout is asked about."""

    name: str
    """Its name in its statements: its repository, with the registry."""
    digest: Digest
    """Of its manifest, or of the file that it is."""
    archive: Digest | None
    """Of its one layer; None where it has none or several, or is no OCI artifact."""
    layer: Layer | None = None
    """What that layer holds, where it was read (`needs_layer`)."""


def needs_layer(layout: Layout) -> bool:
    """Whether an inspection of `layout` wants the artifact's layer to be read."""
    return any(item.run == LAYER for item in layout.inspections)


def inspect(item: Inspection, product: Product) -> StepRecord:
    """The record of `product` that `item` asks for.

    Refuses with `layout.inspection-unknown` where there is no such inspection, and `layout.inspection` where the
    artifact is not of the kind that it looks at.
    """
    if item.run == LAYER:
        return _inspect_layer(item.name, product)
    raise Refusal(
        Reason.LAYOUT_INSPECTION_UNKNOWN,
        f"the inspection {item.name} is none that this version has; nothing was run",
        expected=" ".join(LAYER),
        found=" ".join(item.run)[:200],
    )


def _inspect_layer(name: str, product: Product) -> StepRecord:
    layer = product.layer
    if product.archive is None or layer is None:
        raise Refusal(Reason.LAYOUT_INSPECTION, "the artifact has not exactly one layer", found=product.digest)
    if layer.digest != product.archive:
        raise Refusal(
            Reason.ARTIFACT_DIGEST_MISMATCH,
            "the layer is not the one of the manifest",
            expected=product.archive,
            found=layer.digest,
        )
    if layer.problem:
        raise Refusal(Reason.LAYOUT_INSPECTION, layer.problem)
    environment = _environment(product.name)
    prefix = f"chart/{environment}" if layer.chart else f"tree/{environment}"
    folder = f"{prefix}/{layer.chart}" if layer.chart else prefix
    files = {f"{prefix}/{path}": _sha256(digest) for path, digest in layer.files.items()}
    return StepRecord(
        name=name,
        materials={"oci/manifest": _sha256(product.digest.hex), "oci/layer": _sha256(layer.digest.hex)},
        products={**files, f"dir:{folder}": _sha256(layer.folder)},
    )


def _environment(name: str) -> str:
    parts = name.split("/")
    if len(parts) < 2 or not parts[-2]:  # noqa: PLR2004 - the environment and the name
        raise Refusal(Reason.LAYOUT_INSPECTION, "the artifact's name has no part for its environment", found=name[:200])
    return parts[-2]


def _sha256(digest: str) -> Mapping[str, str]:
    return {"sha256": digest}
