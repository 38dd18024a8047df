{ greeting = "hello, prod", image = "docker.io/library/busybox:1.37", replicas = 3 }
