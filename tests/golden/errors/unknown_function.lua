image.pul("x")
