local d <close> = fs.tempdir()
d:remoev()
