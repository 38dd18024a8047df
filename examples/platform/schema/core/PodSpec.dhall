let Map = ../Map.dhall

let LabelSelector = ../meta/LabelSelector.dhall

let Container = ./Container.dhall

let PodSecurityContext = ./PodSecurityContext.dhall

let Volume = ./Volume.dhall

let SpreadConstraint =
      { maxSkew : Natural
      , topologyKey : Text
      , whenUnsatisfiable : Text
      , labelSelector : LabelSelector.Type
      }

let Toleration = { key : Text, operator : Text, effect : Text }

in  { Type =
        { serviceAccountName : Text
        , automountServiceAccountToken : Bool
        , priorityClassName : Optional Text
        , terminationGracePeriodSeconds : Natural
        , restartPolicy : Optional Text
        , securityContext : PodSecurityContext.Type
        , initContainers : Optional (List Container.Type)
        , containers : List Container.Type
        , volumes : Optional (List Volume.Type)
        , topologySpreadConstraints : Optional (List SpreadConstraint)
        , tolerations : Optional (List Toleration)
        , nodeSelector : Optional Map
        }
    , default =
      { automountServiceAccountToken = False
      , priorityClassName = None Text
      , terminationGracePeriodSeconds = 30
      , restartPolicy = None Text
      , securityContext = PodSecurityContext::{=}
      , initContainers = None (List Container.Type)
      , volumes = None (List Volume.Type)
      , topologySpreadConstraints = None (List SpreadConstraint)
      , tolerations = None (List Toleration)
      , nodeSelector = None Map
      }
    , SpreadConstraint
    , Toleration
    }
