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

in  { Type =
        { serviceAccountName : Text
        , automountServiceAccountToken : Bool
        , terminationGracePeriodSeconds : Natural
        , restartPolicy : Optional Text
        , securityContext : PodSecurityContext.Type
        , containers : List Container.Type
        , volumes : Optional (List Volume.Type)
        , topologySpreadConstraints : Optional (List SpreadConstraint)
        }
    , default =
      { automountServiceAccountToken = False
      , terminationGracePeriodSeconds = 30
      , restartPolicy = None Text
      , securityContext = PodSecurityContext::{=}
      , volumes = None (List Volume.Type)
      , topologySpreadConstraints = None (List SpreadConstraint)
      }
    , SpreadConstraint
    }
