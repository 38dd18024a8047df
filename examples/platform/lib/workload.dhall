{-| A stateless workload, from the few things that tell one from another.

    `objects` gives its ServiceAccount, ConfigMap, Service, Deployment, NetworkPolicy, and where the environment wants
    them its PodDisruptionBudget and HorizontalPodAutoscaler.
-}
let k = ../schema/package.dhall

let Environment = ../environments/Environment.dhall

let image = ./image.dhall

let labels = ./labels.dhall

let list = ./list.dhall

let meta = ./meta.dhall

let names = ./names.dhall

let network = ./network.dhall

let probes = ./probes.dhall

let resources = ./resources.dhall

let Workload =
      { Type =
          { name : Text
          , namespace : Text
          , component : Text
          , image : image.Type
          , args : Optional (List Text)
          , env : List k.EnvVar.Type
          , settings : k.Map
          , secret : Optional Text
          , port : Natural
          , metricsPort : Natural
          , healthPath : Text
          , replicas : Natural
          , maxReplicas : Optional Natural
          , resources : k.ResourceRequirements
          , callers : List k.NetworkPolicy.Peer.Type
          , calls : List k.NetworkPolicy.Egress
          , automountToken : Bool
          , volumes : List k.Volume.Type
          , volumeMounts : List k.VolumeMount.Type
          }
      , default =
        { args = None (List Text)
        , env = [] : List k.EnvVar.Type
        , settings = [] : k.Map
        , secret = None Text
        , port = 8080
        , metricsPort = 9090
        , healthPath = "/healthz"
        , replicas = 1
        , maxReplicas = None Natural
        , resources = resources.small
        , callers = [] : List k.NetworkPolicy.Peer.Type
        , calls = [] : List k.NetworkPolicy.Egress
        , automountToken = False
        , volumes = [] : List k.Volume.Type
        , volumeMounts = [] : List k.VolumeMount.Type
        }
      }

let describe =
      \(w : Workload.Type) ->
        labels.Workload::{
        , name = w.name
        , instance = w.name
        , component = Some w.component
        , partOf = Some names.project
        , version = Some w.image.tag
        }

let podTemplate =
      \(env : Environment.Type) ->
      \(w : Workload.Type) ->
        let selector = labels.selector (describe w)

        let container =
              k.Container::{
              , name = w.name
              , image = image.reference env w.image
              , args = w.args
              , env = Some
                  (   [ k.EnvVar::{
                        , name = "POD_NAME"
                        , valueFrom = Some k.EnvVar.Source::{
                          , fieldRef = Some { fieldPath = "metadata.name" }
                          }
                        }
                      , k.EnvVar::{
                        , name = "LOG_LEVEL"
                        , value = Some env.logLevel
                        }
                      ]
                    # w.env
                  )
              , envFrom = Some
                  (   [ { configMapRef = Some { name = w.name }
                        , secretRef = None { name : Text }
                        }
                      ]
                    # merge
                        { None = [] : List k.Container.EnvFrom
                        , Some =
                            \(name : Text) ->
                              [ { configMapRef = None { name : Text }
                                , secretRef = Some { name }
                                }
                              ]
                        }
                        w.secret
                  )
              , ports = Some
                [ k.ContainerPort::{ name = "http", containerPort = w.port }
                , k.ContainerPort::{
                  , name = "metrics"
                  , containerPort = w.metricsPort
                  }
                ]
              , startupProbe = Some
                  (probes.slowStart (probes.http w.healthPath "http"))
              , readinessProbe = Some (probes.http w.healthPath "http")
              , livenessProbe = Some
                  (     probes.http w.healthPath "http"
                    //  { periodSeconds = 20, failureThreshold = 5 }
                  )
              , resources = w.resources
              , volumeMounts = Some
                  (   [ k.VolumeMount::{ name = "tmp", mountPath = "/tmp" } ]
                    # w.volumeMounts
                  )
              }

        in    { metadata = k.TemplateMeta::{
                , labels = labels.recommended (describe w)
                , annotations = Some
                    ( toMap
                        { `kubectl.kubernetes.io/default-container` = w.name }
                    )
                }
              , spec = k.PodSpec::{
                , serviceAccountName = w.name
                , automountServiceAccountToken = w.automountToken
                , containers = [ container ]
                , volumes = Some
                    (   [ k.Volume::{
                          , name = "tmp"
                          , emptyDir = Some k.Volume.EmptyDir::{
                            , sizeLimit = Some "64Mi"
                            }
                          }
                        ]
                      # w.volumes
                    )
                , topologySpreadConstraints = Some
                  [ { maxSkew = 1
                    , topologyKey = "topology.kubernetes.io/zone"
                    , whenUnsatisfiable = "ScheduleAnyway"
                    , labelSelector = k.LabelSelector::{
                      , matchLabels = Some selector
                      }
                    }
                  ]
                }
              }
            : k.PodTemplateSpec

let objects =
      \(env : Environment.Type) ->
      \(w : Workload.Type) ->
        let metadata = meta w.namespace w.name (describe w)

        let selector = labels.selector (describe w)

        let selected = k.LabelSelector::{ matchLabels = Some selector }

        let scaled =
              merge
                { None = False, Some = \(_ : Natural) -> env.highAvailability }
                w.maxReplicas

        let serviceAccount = k.ServiceAccount::{ metadata }

        let configMap = k.ConfigMap::{ metadata, data = w.settings }

        let service =
              k.Service::{
              , metadata
              , spec = k.Service.Spec::{
                , selector
                , ports =
                  [ k.Service.Port::{
                    , name = "http"
                    , port = 80
                    , targetPort = k.IntOrString.String "http"
                    , appProtocol = Some "http"
                    }
                  , k.Service.Port::{
                    , name = "metrics"
                    , port = w.metricsPort
                    , targetPort = k.IntOrString.String "metrics"
                    }
                  ]
                }
              }

        let deployment =
              k.Deployment::{
              , metadata
              , spec = k.Deployment.Spec::{
                , replicas = if scaled then None Natural else Some w.replicas
                , selector = selected
                , template = podTemplate env w
                }
              }

        let policy =
              k.NetworkPolicy::{
              , metadata
              , spec = k.NetworkPolicy.Spec::{
                , podSelector = selected
                , ingress = Some
                    (   [ network.from [ network.prometheus ] [ w.metricsPort ]
                        ]
                      # list.when
                          k.NetworkPolicy.Ingress
                          ( if    Natural/isZero
                                    ( List/length
                                        k.NetworkPolicy.Peer.Type
                                        w.callers
                                    )
                            then  False
                            else  True
                          )
                          [ network.from w.callers [ w.port ] ]
                    )
                , egress = Some ([ network.dns ] # w.calls)
                }
              }

        let budget =
              k.PodDisruptionBudget::{
              , metadata
              , spec =
                { maxUnavailable = k.IntOrString.Int 1, selector = selected }
              }

        let autoscaler =
              \(most : Natural) ->
                k.HorizontalPodAutoscaler::{
                , metadata
                , spec =
                  { scaleTargetRef =
                    { apiVersion = "apps/v1"
                    , kind = "Deployment"
                    , name = w.name
                    }
                  , minReplicas = w.replicas
                  , maxReplicas = most
                  , metrics =
                    [ { type = "Resource"
                      , resource =
                        { name = "cpu"
                        , target =
                          { type = "Utilization", averageUtilization = 70 }
                        }
                      }
                    ]
                  }
                }

        in    [ k.Object.ServiceAccount serviceAccount
              , k.Object.ConfigMap configMap
              , k.Object.Service service
              , k.Object.Deployment deployment
              , k.Object.NetworkPolicy policy
              ]
            # list.when
                k.Object
                env.highAvailability
                [ k.Object.PodDisruptionBudget budget ]
            # ( if    env.highAvailability
                then  merge
                        { None = [] : List k.Object
                        , Some =
                            \(most : Natural) ->
                              [ k.Object.HorizontalPodAutoscaler
                                  (autoscaler most)
                              ]
                        }
                        w.maxReplicas
                else  [] : List k.Object
              )

in  { Workload, describe, podTemplate, objects }
