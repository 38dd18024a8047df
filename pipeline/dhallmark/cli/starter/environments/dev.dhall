{ greeting = "hello, dev", image = "docker.io/library/busybox:1.37", replicas = 1 }
