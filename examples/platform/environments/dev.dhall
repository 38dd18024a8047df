let Environment = ./Environment.dhall

in  Environment::{
    , name = "dev"
    , domain = "dev.acme.example"
    , logLevel = "debug"
    }
