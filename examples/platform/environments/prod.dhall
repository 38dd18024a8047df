-- | Production is staging with more of everything, and with certificates that browsers trust.
let Environment = ./Environment.dhall

in        ./staging.dhall
      //  { name = "prod"
          , domain = "acme.example"
          , logLevel = "warn"
          , replicas = 3
          , maxReplicas = 12
          , databaseStorage = "200Gi"
          , metricsRetention = "30d"
          , acmeServer = "https://acme-v02.api.letsencrypt.org/directory"
          }
    : Environment.Type
