image.pull("Not A Name")
