let TemplateMeta = ../meta/TemplateMeta.dhall

let PodSpec = ./PodSpec.dhall

in  { metadata : TemplateMeta.Type, spec : PodSpec.Type }
