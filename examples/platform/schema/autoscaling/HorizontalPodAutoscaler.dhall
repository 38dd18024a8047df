let ObjectMeta = ../meta/ObjectMeta.dhall

let Metric =
      { type : Text
      , resource :
          { name : Text
          , target : { type : Text, averageUtilization : Natural }
          }
      }

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec :
            { scaleTargetRef : { apiVersion : Text, kind : Text, name : Text }
            , minReplicas : Natural
            , maxReplicas : Natural
            , metrics : List Metric
            }
        }
    , default =
      { apiVersion = "autoscaling/v2", kind = "HorizontalPodAutoscaler" }
    , Metric
    }
