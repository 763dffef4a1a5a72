fs.read("/no/such/file")
