import io, sys, tarfile
folder = sys.argv[1]
with tarfile.open("hostile.tar", "w") as archive:
    def put(name, kind=tarfile.REGTYPE, link=""):
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.size = kind, link, 2 if kind == tarfile.REGTYPE else 0
        archive.addfile(entry, io.BytesIO(b"x\n"))
    put("link", tarfile.SYMTYPE, folder + "/canary")
    put("link/file")
    put("../../../../../../../../../.." + folder + "/canary/deep")
