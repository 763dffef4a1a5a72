error({ message = "with fields", hint = "like this" })
