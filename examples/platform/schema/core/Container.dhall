let EnvVar = ./EnvVar.dhall

let ContainerPort = ./ContainerPort.dhall

let Probe = ./Probe.dhall

let ResourceRequirements = ./ResourceRequirements.dhall

let SecurityContext = ./SecurityContext.dhall

let VolumeMount = ./VolumeMount.dhall

let EnvFrom =
      { configMapRef : Optional { name : Text }
      , secretRef : Optional { name : Text }
      }

in  { Type =
        { name : Text
        , image : Text
        , imagePullPolicy : Text
        , command : Optional (List Text)
        , args : Optional (List Text)
        , env : Optional (List EnvVar.Type)
        , envFrom : Optional (List EnvFrom)
        , ports : Optional (List ContainerPort.Type)
        , startupProbe : Optional Probe.Type
        , readinessProbe : Optional Probe.Type
        , livenessProbe : Optional Probe.Type
        , resources : ResourceRequirements
        , securityContext : SecurityContext.Type
        , volumeMounts : Optional (List VolumeMount.Type)
        }
    , default =
      { imagePullPolicy = "IfNotPresent"
      , command = None (List Text)
      , args = None (List Text)
      , env = None (List EnvVar.Type)
      , envFrom = None (List EnvFrom)
      , ports = None (List ContainerPort.Type)
      , startupProbe = None Probe.Type
      , readinessProbe = None Probe.Type
      , livenessProbe = None Probe.Type
      , securityContext = SecurityContext::{=}
      , volumeMounts = None (List VolumeMount.Type)
      }
    , EnvFrom
    }
