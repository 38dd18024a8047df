let ObjectMeta = ../meta/ObjectMeta.dhall

let PodTemplateSpec = ../core/PodTemplateSpec.dhall

let JobSpec =
      { backoffLimit : Natural
      , activeDeadlineSeconds : Natural
      , ttlSecondsAfterFinished : Natural
      , template : PodTemplateSpec
      }

let Spec =
      { Type =
          { schedule : Text
          , timeZone : Text
          , concurrencyPolicy : Text
          , startingDeadlineSeconds : Natural
          , successfulJobsHistoryLimit : Natural
          , failedJobsHistoryLimit : Natural
          , jobTemplate : { spec : JobSpec }
          }
      , default =
        { timeZone = "Etc/UTC"
        , concurrencyPolicy = "Forbid"
        , startingDeadlineSeconds = 300
        , successfulJobsHistoryLimit = 1
        , failedJobsHistoryLimit = 3
        }
      }

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec : Spec.Type
        }
    , default = { apiVersion = "batch/v1", kind = "CronJob" }
    , Spec
    , JobSpec
    }
