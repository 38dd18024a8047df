"""The in-toto layouts of a release: one for its own key, one for the identities of a policy.

Each step's products must be exactly the materials that the later steps take, in both directions: a material that no
step made is refused, and so is a product that no later step took (a file added, changed or removed between two steps).
Source: in-toto specification 1.0, 4.3 "File formats: layout" and 4.3.3 "Artifact Rules".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from in_toto.models.layout import Layout, Step

from dhallmark import strictjson
from dhallmark.steps.link import STEPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Where the files of one step come from and go to."""

    taken: Mapping[str, str]
    """Pattern of build files to the step that makes them. All else that it reads, `resolve` reads too."""
    made: str
    """Folder of the build directory that holds what it writes, and nothing else."""
    required: str
    """A file without which the step did nothing."""
    given: Mapping[str, str]
    """Pattern of its products to the step that must take each of them. Empty where the release ends."""


FLOWS: Mapping[str, Flow] = {
    "resolve": Flow(
        taken={},
        made="build/resolve",
        required="build/resolve/closure.json",
        given={"build/resolve/normal/*": "render", "build/resolve/*": "package"},
    ),
    "render": Flow(
        taken={"build/resolve/*": "resolve"},
        made="build/render",
        required="",
        given={"dir:build/render/*": "package"},
    ),
    "package": Flow(
        taken={"dir:build/render/*": "render", "build/resolve/*": "resolve"},
        made="build/package",
        required="build/package/artifacts.json",
        given={"build/package/*": "publish", "dir:build/package/*": "publish"},
    ),
    "publish": Flow(
        taken={"build/package/*": "package", "dir:build/package/*": "package"},
        made="build/publish",
        required="",
        given={},
    ),
}


def make_layout(
    *, functionary: Mapping[str, Any], commands: Mapping[str, Sequence[str]], expires: datetime, readme: str
) -> Layout:
    """The layout whose steps the key `functionary` signs (a public key in in-toto's dict form, with `keyid`)."""
    keyid = functionary["keyid"]
    return Layout(
        steps=[
            Step(
                name=name,
                pubkeys=[keyid],
                threshold=1,
                expected_command=list(commands[name]),
                expected_materials=_material_rules(name),
                expected_products=_product_rules(name),
            )
            for name in STEPS
        ],
        inspect=[],
        keys={keyid: dict(functionary)},
        expires=expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        readme=readme,
    )


def make_policy_layout(*, identities: Sequence[str], version: int, expires: datetime, readme: str) -> bytes:
    """The layout, as its owner reviews and signs it, whose steps the policy's `identities` may do; readable JSON.

    Its inspection compares what each chart's layer unpacks to with the folder that `render` made; the files of a Flux
    artifact are in no link, its archive is (docs/adr/0015-layouts.md).
    """
    return strictjson.dump(
        {
            "_type": "layout",
            "version": version,
            "expires": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "readme": readme,
            "keys": {},
            "steps": [
                {
                    "_type": "step",
                    "name": name,
                    "identities": list(identities),
                    "pubkeys": [],
                    "threshold": 1,
                    "expected_command": [],
                    "expected_materials": _material_rules(name),
                    "expected_products": _product_rules(name),
                }
                for name in STEPS
            ],
            "inspect": [
                {
                    "_type": "inspection",
                    "name": "layer",
                    "run": ["dhallmark", "inspect", "layer"],
                    "expected_materials": [["ALLOW", "oci/manifest"], ["ALLOW", "oci/layer"], ["DISALLOW", "*"]],
                    "expected_products": [
                        [
                            "MATCH",
                            "*",
                            "IN",
                            "dir:chart",
                            "WITH",
                            "PRODUCTS",
                            "IN",
                            "dir:build/render",
                            "FROM",
                            "render",
                        ],
                        ["ALLOW", "chart/*"],
                        ["ALLOW", "tree/*"],
                        ["ALLOW", "dir:tree/*"],
                        ["DISALLOW", "*"],
                    ],
                }
            ],
        }
    )


def _material_rules(name: str) -> list[list[str]]:
    flow = FLOWS[name]
    rules = [["MATCH", pattern, "WITH", "PRODUCTS", "FROM", step] for pattern, step in flow.taken.items()]
    rules += [["DISALLOW", "build/*"], ["DISALLOW", "dir:build/*"]]
    rules.append(["ALLOW", "*"] if name == STEPS[0] else ["MATCH", "*", "WITH", "MATERIALS", "FROM", STEPS[0]])
    return [*rules, ["DISALLOW", "*"]]


def _product_rules(name: str) -> list[list[str]]:
    flow = FLOWS[name]
    rules = [["REQUIRE", flow.required]] if flow.required else []
    if flow.given:
        rules += [["MATCH", pattern, "WITH", "MATERIALS", "FROM", step] for pattern, step in flow.given.items()]
    else:
        rules.append(["ALLOW", f"{flow.made}/*"])
    return [*rules, ["DISALLOW", "*"]]
