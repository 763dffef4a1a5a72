error("plain text")
