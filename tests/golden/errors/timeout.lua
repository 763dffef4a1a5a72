host.run("sleep 1000", { timeout = "10ms" })
