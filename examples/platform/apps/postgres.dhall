{-| The shop's database. Its image runs init.sql when the volume is empty, and leaves the configuration beside it alone.
-}
let k = ../schema/package.dhall

let Environment = ../environments/Environment.dhall

let names = ../lib/names.dhall

let network = ../lib/network.dhall

let probes = ../lib/probes.dhall

let resources = ../lib/resources.dhall

let stateful = ../lib/stateful.dhall

let shop = network.namespaced names.namespaces.shop

in  \(env : Environment.Type) ->
      stateful.objects
        env
        stateful.Stateful::{
        , name = "postgres"
        , namespace = names.namespaces.data
        , component = "database"
        , image =
          { repository = "mirror/postgres"
          , tag = "17.6"
          , digest =
              "c45db32e3e708ccf61c103de444478e2bf2d43bbb15fe66ee52c41dbcb429058"
          }
        , args = Some
          [ "-c", "config_file=/docker-entrypoint-initdb.d/postgresql.conf" ]
        , env =
          [ k.EnvVar::{ name = "PGDATA", value = Some "/var/lib/data/pgdata" }
          , k.EnvVar::{
            , name = "POSTGRES_PASSWORD"
            , valueFrom = Some k.EnvVar.Source::{
              , secretKeyRef = Some { name = "postgres", key = "password" }
              }
            }
          ]
        , files = toMap
            { `postgresql.conf` =
                ''
                listen_addresses = '*'
                max_connections = ${if    env.highAvailability
                                    then  "400"
                                    else  "100"}
                shared_buffers = ${if    env.highAvailability
                                   then  "512MB"
                                   else  "128MB"}
                password_encryption = scram-sha-256
                unix_socket_directories = '/tmp'
                log_min_duration_statement = 500
                wal_level = replica
                ''
            , `init.sql` = ../files/postgres/init.sql as Text
            }
        , filesPath = "/docker-entrypoint-initdb.d"
        , storage = env.databaseStorage
        , port = 5432
        , portName = "postgres"
        , probe =
            probes.exec
              [ "pg_isready", "--host=127.0.0.1", "--username=postgres" ]
        , user = 999
        , resources =
            if env.highAvailability then resources.large else resources.medium
        , callers = [ shop "catalog", shop "orders", shop "payments" ]
        }
