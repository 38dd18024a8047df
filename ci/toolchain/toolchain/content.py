"""What an engine has built in: the image of the Go SDK, and the Python SDK as a module in Go.

Engines look for both as blobs in a content store, by digests from their environment. Release engines ship the
stores of the official SDKs; this one is put together from the Go modules that are published, and from ci/sdk-python.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from toolchain import oci, tarball
from toolchain.cache import Cache, files_below, key_of, remove_tree
from toolchain.images import Images
from toolchain.layout import SDK_PYTHON
from toolchain.pipconfig import pip_environment
from toolchain.rootfs import Release

RECIPE = "content 1"


@dataclass(frozen=True, kw_only=True)
class Content:
    """A content store, and the environment by which an engine finds what is in it."""

    blobs: Path
    """The folder to show to the engine as its built-in content."""
    env: dict[str, str]


def make(cache: Cache, images: Images, *, python_image: str) -> Content:
    """Put the store together; the images must be made."""
    gosdk = images.place("gosdk")
    settings = {"image": python_image, "env": dict(pip_environment())}
    document = json.dumps(settings, sort_keys=True, indent=2)
    key = key_of(label=RECIPE, texts=[document, images.key("gosdk")], files=files_below(SDK_PYTHON))

    def build(folder: Path) -> None:
        release = Release.load(images.place("base") / "release.json")
        layout = folder / "content"
        shutil.copytree(gosdk / "image", layout, copy_function=_link)
        # The index is written anew below, and must not be the one that is linked.
        (layout / "index.json").unlink()
        source = folder / "sdk"
        shutil.copytree(SDK_PYTHON, source)
        (source / "runtime" / "settings.json").write_text(document)
        for path in [source, *source.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        layer = folder / "sdk.tar"
        tarball.write_layer(source, layer, epoch=release.epoch)
        digest = oci.write_image(layout, [layer], oci.ImageConfig(created=release.created))
        (folder / "digests.json").write_text(json.dumps({"python": digest}))
        remove_tree(source)
        layer.unlink()

    place = cache.ensure(name="content", key=key, build=build)
    go = json.loads((gosdk / "image.json").read_text())["digest"]
    python = json.loads((place / "digests.json").read_text())["python"]
    return Content(
        blobs=place / "content",
        env={"DAGGER_GO_SDK_MANIFEST_DIGEST": go, "DAGGER_PYTHON_SDK_MANIFEST_DIGEST": python},
    )


def _link(source: str, target: str) -> None:
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
