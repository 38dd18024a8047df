{ greeting = "hello, dev", image = "busybox:1.37", replicas = 1 }
