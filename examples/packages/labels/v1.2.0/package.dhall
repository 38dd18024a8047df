{-| Kubernetes' recommended labels, as a package that platforms import by URL and hash.

    `Workload` describes a workload, `recommended` gives all its labels, `selector` those that selectors may rely on.
-}
{ Workload = ./Workload.dhall
, recommended = ./recommended.dhall
, selector = ./selector.dhall
}
