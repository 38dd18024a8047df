{-| A stateful workload with one volume: ServiceAccount, ConfigMap, headless Service, StatefulSet, NetworkPolicy and
    PodDisruptionBudget.
-}
let k = ../schema/package.dhall

let Environment = ../environments/Environment.dhall

let image = ./image.dhall

let labels = ./labels.dhall

let list = ./list.dhall

let meta = ./meta.dhall

let names = ./names.dhall

let network = ./network.dhall

let resources = ./resources.dhall

let Stateful =
      { Type =
          { name : Text
          , namespace : Text
          , component : Text
          , image : image.Type
          , command : Optional (List Text)
          , args : Optional (List Text)
          , env : List k.EnvVar.Type
          , files : k.Map
          , filesPath : Text
          , dataPath : Text
          , storage : Text
          , port : Natural
          , portName : Text
          , probe : k.Probe.Type
          , replicas : Natural
          , user : Natural
          , resources : k.ResourceRequirements
          , callers : List k.NetworkPolicy.Peer.Type
          , calls : List k.NetworkPolicy.Egress
          }
      , default =
        { command = None (List Text)
        , args = None (List Text)
        , env = [] : List k.EnvVar.Type
        , files = [] : k.Map
        , filesPath = "/etc/config"
        , dataPath = "/var/lib/data"
        , storage = "10Gi"
        , replicas = 1
        , user = 65532
        , resources = resources.medium
        , callers = [] : List k.NetworkPolicy.Peer.Type
        , calls = [] : List k.NetworkPolicy.Egress
        }
      }

let describe =
      \(s : Stateful.Type) ->
        labels.Workload::{
        , name = s.name
        , instance = s.name
        , component = Some s.component
        , partOf = Some names.project
        , version = Some s.image.tag
        }

let objects =
      \(env : Environment.Type) ->
      \(s : Stateful.Type) ->
        let metadata = meta s.namespace s.name (describe s)

        let selector = labels.selector (describe s)

        let selected = k.LabelSelector::{ matchLabels = Some selector }

        let container =
              k.Container::{
              , name = s.name
              , image = image.reference env s.image
              , command = s.command
              , args = s.args
              , env = list.nonEmpty k.EnvVar.Type s.env
              , ports = Some
                [ k.ContainerPort::{ name = s.portName, containerPort = s.port }
                ]
              , startupProbe = Some
                  (s.probe // { periodSeconds = 5, failureThreshold = 60 })
              , readinessProbe = Some s.probe
              , livenessProbe = Some
                  (s.probe // { periodSeconds = 20, failureThreshold = 6 })
              , resources = s.resources
              , volumeMounts = Some
                [ k.VolumeMount::{ name = "data", mountPath = s.dataPath }
                , k.VolumeMount::{
                  , name = "config"
                  , mountPath = s.filesPath
                  , readOnly = Some True
                  }
                , k.VolumeMount::{ name = "tmp", mountPath = "/tmp" }
                ]
              }

        let statefulSet =
              k.StatefulSet::{
              , metadata
              , spec = k.StatefulSet.Spec::{
                , replicas = s.replicas
                , serviceName = s.name
                , selector = selected
                , template =
                  { metadata = k.TemplateMeta::{
                    , labels = labels.recommended (describe s)
                    }
                  , spec = k.PodSpec::{
                    , serviceAccountName = s.name
                    , terminationGracePeriodSeconds = 120
                    , securityContext = k.PodSecurityContext::{
                      , runAsUser = s.user
                      , runAsGroup = s.user
                      , fsGroup = Some s.user
                      , fsGroupChangePolicy = Some "OnRootMismatch"
                      }
                    , containers = [ container ]
                    , volumes = Some
                      [ k.Volume::{
                        , name = "config"
                        , configMap = Some k.Volume.ConfigMapSource::{
                          , name = s.name
                          }
                        }
                      , k.Volume::{
                        , name = "tmp"
                        , emptyDir = Some k.Volume.EmptyDir::{
                          , sizeLimit = Some "256Mi"
                          }
                        }
                      ]
                    , topologySpreadConstraints = Some
                      [ { maxSkew = 1
                        , topologyKey = "kubernetes.io/hostname"
                        , whenUnsatisfiable =
                            if    env.highAvailability
                            then  "DoNotSchedule"
                            else  "ScheduleAnyway"
                        , labelSelector = selected
                        }
                      ]
                    }
                  }
                , volumeClaimTemplates =
                  [ k.PersistentVolumeClaim::{
                    , metadata = k.ObjectMeta::{ name = "data" }
                    , spec =
                      { accessModes = [ "ReadWriteOnce" ]
                      , storageClassName = env.storageClass
                      , resources.requests = toMap { storage = s.storage }
                      }
                    }
                  ]
                }
              }

        in  [ k.Object.ServiceAccount k.ServiceAccount::{ metadata }
            , k.Object.ConfigMap k.ConfigMap::{ metadata, data = s.files }
            , k.Object.Service
                k.Service::{
                , metadata
                , spec = k.Service.Spec::{
                  , clusterIP = Some "None"
                  , publishNotReadyAddresses = Some True
                  , selector
                  , ports =
                    [ k.Service.Port::{
                      , name = s.portName
                      , port = s.port
                      , targetPort = k.IntOrString.String s.portName
                      }
                    ]
                  }
                }
            , k.Object.StatefulSet statefulSet
            , k.Object.NetworkPolicy
                k.NetworkPolicy::{
                , metadata
                , spec = k.NetworkPolicy.Spec::{
                  , podSelector = selected
                  , ingress = Some
                    [ network.from
                        (s.callers # [ network.namespaced s.namespace s.name ])
                        [ s.port ]
                    ]
                  , egress = Some
                      (   [ network.dns
                          , network.to
                              [ network.namespaced s.namespace s.name ]
                              [ s.port ]
                          ]
                        # s.calls
                      )
                  }
                }
            , k.Object.PodDisruptionBudget
                k.PodDisruptionBudget::{
                , metadata
                , spec =
                  { maxUnavailable = k.IntOrString.Int 1, selector = selected }
                }
            ]

in  { Stateful, describe, objects }
