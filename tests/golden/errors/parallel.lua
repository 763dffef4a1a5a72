parallel(function() host.run("sleep 1000") end, function() fs.read("/no/such/file") end)
