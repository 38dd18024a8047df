{-| What differs between environments. The defaults are those of a small one; each environment overrides what it must.
-}
{ Type =
    { name : Text
    , domain : Text
    , registry : Text
    , logLevel : Text
    , highAvailability : Bool
    , replicas : Natural
    , maxReplicas : Natural
    , storageClass : Text
    , databaseStorage : Text
    , metricsRetention : Text
    , acmeServer : Text
    , contact : Text
    }
, default =
  { registry = "registry.acme.example"
  , logLevel = "info"
  , highAvailability = False
  , replicas = 1
  , maxReplicas = 2
  , storageClass = "standard"
  , databaseStorage = "10Gi"
  , metricsRetention = "2d"
  , acmeServer = "https://acme-staging-v02.api.letsencrypt.org/directory"
  , contact = "platform@acme.example"
  }
}
