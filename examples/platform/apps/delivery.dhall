{-| How the cluster follows this platform: Flux takes the environment's signed artifact and applies it layer by layer.

    The identity is the release workflow's; anything signed by another is refused.
-}
let k = ../schema/package.dhall

let Environment = ../environments/Environment.dhall

let names = ../lib/names.dhall

let namespace = names.namespaces.system

let source = "platform"

let layer =
      \(name : Text) ->
      \(dependsOn : List k.Kustomization.Dependency) ->
        k.Object.Kustomization
          k.Kustomization::{
          , metadata = k.ObjectMeta::{ name, namespace = Some namespace }
          , spec = k.Kustomization.Spec::{
            , path = "./${name}"
            , serviceAccountName = "delivery"
            , sourceRef = { kind = "OCIRepository", name = source }
            , dependsOn = Some dependsOn
            }
          }

in  \(env : Environment.Type) ->
      [ k.Object.ServiceAccount
          k.ServiceAccount::{
          , metadata = k.ObjectMeta::{
            , name = "delivery"
            , namespace = Some namespace
            }
          }
      , k.Object.ClusterRoleBinding
          k.ClusterRoleBinding::{
          , metadata = k.ObjectMeta::{ name = "delivery" }
          , subjects =
            [ { kind = "ServiceAccount", name = "delivery", namespace } ]
          , roleRef =
            { apiGroup = "rbac.authorization.k8s.io"
            , kind = "ClusterRole"
            , name = "cluster-admin"
            }
          }
      , k.Object.OCIRepository
          k.OCIRepository::{
          , metadata = k.ObjectMeta::{
            , name = source
            , namespace = Some namespace
            }
          , spec = k.OCIRepository.Spec::{
            , url =
                "oci://${env.registry}/platform/${env.name}/flux-${names.project}"
            , ref = { tag = Some "1.4.0", digest = None Text }
            , verify = Some
              { provider = "cosign"
              , matchOIDCIdentity = Some
                [ { issuer =
                      "^https://token\\.actions\\.githubusercontent\\.com\$"
                  , subject =
                      "^https://github\\.com/dhallmark/example-platform/\\.github/workflows/release\\.yaml@refs/heads/main\$"
                  }
                ]
              }
            }
          }
      , layer "platform" ([] : List k.Kustomization.Dependency)
      , layer "services" [ { name = "platform" } ]
      , layer "workloads" [ { name = "services" } ]
      ]
