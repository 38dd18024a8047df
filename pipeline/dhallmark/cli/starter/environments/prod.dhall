{ greeting = "hello, prod", image = "busybox:1.37", replicas = 3 }
