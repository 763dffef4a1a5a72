host.run({ "echo", nil, "x" })
