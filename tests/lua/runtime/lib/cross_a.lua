host.out("echo x") return require("cross_b")
