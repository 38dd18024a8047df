"""Rebuilding what was published, and saying whether it is the same.

The builder judges nothing: whoever audits verifies, compares and concludes with an installation of their own. What is
rebuilt in the recorded image only yields files.

::

    record.py       how a provenance says that an artifact was built, and what it does not say
    materials.py    the materials bundle: found, unpacked, compared with the record
    source.py       a commit that the auditor names, as materials
    conditions.py   the surroundings of a rebuild: host name, user, folder, locale, …
    sealed.py       a rebuild in namespaces without a network, as its caller sees it
    inside.py       the same, from within
    rebuilt.py      what a rebuild made
    archive.py      two archives: the named ways in which packing may differ
    objects.py      Kubernetes objects in files, and their differences by field
    compare.py      published and rebuilt: equal, equivalent or different
    model.py        the result as a record (schema dhallmark.dev/audit/v1)
    audit.py        all of these in order, for one artifact
    many.py         the artifacts of a repository or a deploy tree, resumable
    inventory.py    what there is to audit in a deploy tree
    predicate.py    the fields of that statement
    statement.py    the result as a statement that can be signed
    document.py     the result as a report
    explain.py      which change of surroundings makes a build differ
    eyes.py         programs of others that look at the same
"""
