let Environment = ./Environment.dhall

in  Environment::{
    , name = "staging"
    , domain = "staging.acme.example"
    , highAvailability = True
    , replicas = 2
    , maxReplicas = 4
    , storageClass = "replicated"
    , metricsRetention = "7d"
    }
