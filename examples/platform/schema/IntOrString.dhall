-- | Kubernetes' IntOrString: a port by number or name, a share by number or percentage.
< Int : Natural | String : Text >
