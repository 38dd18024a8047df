-- A function from an environment's values to the Kubernetes objects of this application.
let Values = ../schema/Values.dhall

let Object = ../schema/Object.dhall

let labels = toMap { `app.kubernetes.io/name` = "greeter" }

in  \(values : Values) ->
      [ Object.ConfigMap
          { apiVersion = "v1"
          , kind = "ConfigMap"
          , metadata = { name = "greeter", labels }
          , data = toMap { greeting = values.greeting }
          }
      , Object.Deployment
          { apiVersion = "apps/v1"
          , kind = "Deployment"
          , metadata = { name = "greeter", labels }
          , spec =
            { replicas = values.replicas
            , selector.matchLabels = labels
            , template =
              { metadata = { labels }
              , spec.containers
                =
                [ { name = "greeter"
                  , image = values.image
                  , command = [ "sh", "-c", "echo $GREETING && sleep infinity" ]
                  , env =
                    [ { name = "GREETING"
                      , valueFrom.configMapKeyRef
                        = { name = "greeter", key = "greeting" }
                      }
                    ]
                  }
                ]
              }
            }
          }
      ]
