json.decode("{")
