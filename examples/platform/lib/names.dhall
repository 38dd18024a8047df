-- | Names that more than one application uses.
{ project = "acme-platform"
, ingressClass = "public"
, namespaces =
  { system = "platform-system"
  , ingress = "ingress-system"
  , observability = "observability"
  , data = "data"
  , shop = "shop"
  }
}
