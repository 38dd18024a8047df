{ Type = { name : Text, containerPort : Natural, protocol : Text }
, default.protocol = "TCP"
}
