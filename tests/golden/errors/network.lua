image.pull("127.0.0.1:1/app:1")
