local function build()
  host.run("echo compiling; echo no such header >&2; exit 2", { capture = true })
end
build()
