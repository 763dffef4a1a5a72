container = nil
host.run("true", { evn = { A = 1 } })
