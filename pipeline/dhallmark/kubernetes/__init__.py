"""Kubernetes for real, as far as it takes to ask it something: for proofs, controls and the status of a cluster.

::

    servers.py            an API server and its etcd on loopback
    source_controller.py  Flux's source-controller beside them
    api.py                a client, as small as what is asked
    apply.py              manifests applied strictly, and what was stored of them
    crds.py, crds-*.json  the definitions that Flux's controllers bring
    buildinfo.py          what a Go program, such as a controller, was built from
"""
