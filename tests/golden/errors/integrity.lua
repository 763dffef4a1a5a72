image.load("integrity.lua")
