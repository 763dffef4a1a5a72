local t = {}
print(t.field.deeper)
