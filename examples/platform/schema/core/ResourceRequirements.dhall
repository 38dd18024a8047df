let Map = ../Map.dhall in { requests : Map, limits : Map }
