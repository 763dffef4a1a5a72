#!/usr/bin/env moonshell
-- A test with a service beside it: both share a network of their own, and nothing of them remains.

local services = require "services"

-- Stands for a data base: it is ready once its file is there.
local base = build.from_host { "/bin/sh", "/bin/cat", "/bin/echo", "/bin/sleep", "/bin/mkdir" }
local database = "echo 'row one' > /data/table; echo listening; sleep 60"

local result = services.test(base, "cat /proc/net/dev; echo 'the test ran'", {
  services = {
    db = { image = base, cmd = "mkdir -p /data; " .. database, ready = "cat /data/table", timeout = 20 },
  },
  capture = true,
})
io.write(result.stdout)

-- A test that fails shows what its services said.
local ok, err = pcall(services.test, base, "exit 3", {
  services = { db = { image = base, cmd = "mkdir -p /data; " .. database, ready = "cat /data/table" } },
})
print("failed with", err.exit_code, "while the service said", err.logs.db)
