"""Dhall to Kubernetes objects to Helm charts.

`resolve` runs Dhall once for all units: it records the closure of imports and keeps each unit's normal form.
`render` reads those normal forms, with no Dhall at hand, and writes chart directories.

::

    sources.py      what a Dhall source imports, with positions (a scan, before Dhall touches anything)
    dhall.py        the `dhall` program: version, environment, limits
    diagnostics.py  what it prints on failure, as a RenderError with file, line and column
    causes.py       such an error as a reason of the catalogue
    graph.py        the graph of imports as Dhall itself reports it
    closure.py      the record of imports and normal forms: closure.json
    resolve.py      all of these in order
    cbor.py         normal forms out of Dhall's binary encoding
    values.py       normal form to JSON, by the rules of dhall-json
    objects.py      Kubernetes objects: identity and order
    manifest.py     objects as YAML, one stable text
    chart.py        chart directories and umbrella charts
    render.py       all of these in order
"""
