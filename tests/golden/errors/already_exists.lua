fs.write("f", "x")
fs.mkdir("f")
